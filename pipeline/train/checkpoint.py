"""Checkpoints that are always whole: written beside their name, then moved over it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from pipeline.errors import WeightsError

#: Raised when the meaning of a key changes; older checkpoints are then refused.
FORMAT = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, and lists and dicts of them) atomically."""
    temporary = path.with_suffix(".partial")
    torch.save({"format": FORMAT, **state}, temporary)
    os.replace(temporary, path)


def load_checkpoint(path: Path, model: str) -> dict[str, Any]:
    """Read a checkpoint of ``model``; nothing in it is executed (``weights_only``).

    Raises:
        WeightsError: damaged, of another format, or of another network.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"checkpoint {path} cannot be read ({type(error).__name__}), expected one that this "
            "trainer wrote; delete it to start again"
        ) from error
    if state.get("format") != FORMAT or state.get("model") != model:
        raise WeightsError(
            f"checkpoint {path} is format {state.get('format')} of {state.get('model')!r}, "
            f"expected format {FORMAT} of {model!r}; choose another --run folder"
        )
    return state
