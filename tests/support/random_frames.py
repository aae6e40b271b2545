"""Frames of noise."""

from __future__ import annotations

import numpy as np


def frames(count: int = 1, size: tuple[int, int] = (90, 120), seed: int = 0) -> np.ndarray:
    """Return (count, height, width, 3) uint8, the same for the same seed."""
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)
