"""Tensors out of files that others wrote; no code in them is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.bounded import check_not_packed
from models.typed import convert

if TYPE_CHECKING:
    from torch import Tensor


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict as it is.

    Args:
        path: a safetensors file if it is called so, else PyTorch's: a mapping of tensors.

    Raises:
        Exception: whatever safetensors, pickle or PyTorch say about a file that is damaged or holds
            more than tensors.
    """
    import torch
    from safetensors.torch import load_file
    from torch import Tensor

    if path.suffix == ".safetensors":
        return load_file(path)
    check_not_packed(path)
    return convert(torch.load(path, map_location="cpu", weights_only=True), dict[str, Tensor])
