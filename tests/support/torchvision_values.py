"""Weights and a picture that are the same on every machine: no library's random numbers."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Along every axis of the logits, one value in this many is kept.
STEP = 8
_SIZE = (1, 3, 65, 49)


def picture() -> Tensor:
    """Return a normalised picture, (1, 3, 65, 49) FP32."""
    return torch.from_numpy(2 * _uniform("picture", math.prod(_SIZE)).reshape(_SIZE))


def state(sizes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return a state dict with torchvision's layout.

    Args:
        sizes: of every tensor, by its key. A tensor's values depend only on its own key.
    """
    return {key: _tensor(key, size) for key, size in sizes.items()}


def _tensor(key: str, size: tuple[int, ...]) -> Tensor:
    kind = key.rpartition(".")[2]
    if kind == "num_batches_tracked":
        return torch.tensor(1)
    values = _uniform(key, math.prod(size)).reshape(size)
    if len(size) == 4:  # a kernel: the variance of its input is kept
        values *= math.sqrt(3 * 2 / math.prod(size[1:]))
    elif kind in ("weight", "running_var"):
        values = 1 + values / 2
        if key.endswith("bn3.weight"):  # otherwise 33 bottlenecks in a row make values of 10^7
            values *= 0.2
    else:
        values = values / 10
    return torch.from_numpy(values)


def _uniform(key: str, count: int) -> NDArray[np.float32]:
    """Return FP32 values in -1..1: SplitMix64 (Steele et al. 2014), from the key's checksum."""
    with np.errstate(over="ignore"):
        x = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x += np.uint64(zlib.crc32(key.encode())) << np.uint64(32)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return ((x >> np.uint64(40)).astype(np.float32) / (1 << 23) - 1).astype(np.float32)
