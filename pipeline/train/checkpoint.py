"""Checkpoints, written atomically: to a temporary file that is then renamed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from msgspec import Meta
from torch import Tensor

from models.bounded import check_not_packed
from models.classes import CAMVID, ClassSet
from models.typed import convert
from pipeline.errors import OutputError, WeightsError

#: Incremented when the meaning of a key changes; older checkpoints are then refused.
FORMAT = 1


@dataclass(frozen=True)
class _Checkpoint:
    """Types of a checkpoint's fields; whoever needs a field reports that it is missing."""

    network: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    step: Annotated[int, Meta(ge=0)] = 0
    best: float = -1.0
    seconds: Annotated[float, Meta(ge=0)] = 0.0
    auxiliary: dict[str, Tensor] | None = None
    classes: list[str] = field(default_factory=list)
    recipe: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    random: dict[str, Tensor] = field(default_factory=dict)
    validated: int = 0
    stale: Annotated[int, Meta(ge=0)] = 0


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, and lists and dicts of them) atomically.

    Raises:
        OutputError: the disk is full or not writable; the file at ``path`` is unchanged.
    """
    temporary = path.with_suffix(".partial")
    try:
        with temporary.open("wb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())  # else a power cut after the rename could lose the content
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        raise OutputError(
            f"checkpoint {path} cannot be written ({error}), the previous one is kept; free some "
            "space there and continue with --resume"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def load_checkpoint(path: Path, model: str, classes: ClassSet = CAMVID) -> dict[str, Any]:
    """Read a checkpoint of ``model``; nothing in it is executed (``weights_only``).

    Args:
        path: a file that :func:`save_checkpoint` wrote.
        model: registry name of the network.
        classes: the class set to train on; its names must be the checkpoint's.

    Raises:
        WeightsError: damaged, of another format, of another network or of other classes.
    """
    try:
        check_not_packed(path)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever zipfile, pickle and PyTorch raise for a damaged file
        raise WeightsError(
            f"checkpoint {path} cannot be read ({type(error).__name__}), expected one that this "
            "trainer wrote; delete it to start again"
        ) from error
    if not isinstance(state, dict):
        state = {}
    if state.get("format") != FORMAT or state.get("model") != model:
        raise WeightsError(
            f"checkpoint {path} is format {state.get('format')} of {state.get('model')!r}, "
            f"expected format {FORMAT} of {model!r}; choose another --folder"
        )
    try:
        convert(state, _Checkpoint)
    except ValueError as error:
        raise WeightsError(
            f"checkpoint {path} misses or misstates a field ({error}); it is damaged, delete it to "
            "start again"
        ) from error
    trained = tuple(state.get("classes", CAMVID.names))  # the first ones did not record them
    if trained != classes.names:
        raise WeightsError(
            f"checkpoint {path} was trained for {len(trained)} classes ({_names(trained)}), "
            f"expected {len(classes)} ({_names(classes.names)}); give the --classes file of that "
            "run or choose another --folder"
        )
    found: dict[str, Any] = state
    return found


def check_same_run(path: Path, state: Mapping[str, Any], seed: int, qat: bool) -> None:
    """Check that a run with these settings can continue from a checkpoint.

    Raises:
        WeightsError: another seed, or only one of the two fine-tunes for INT8.
    """
    theirs = state.get("seed", seed)  # the first checkpoints did not record it
    if theirs != seed:
        raise WeightsError(
            f"checkpoint {path} was trained with --seed {theirs}, {seed} was "
            f"given; pass --seed {theirs}, or choose another --folder"
        )
    if state.get("recipe", {}).get("qat", False) != qat:
        raise WeightsError(
            f"checkpoint {path} was trained {'without' if qat else 'with'} --qat, expected one "
            f"{'with' if qat else 'without'} it; choose another --folder, or "
            f"{'drop' if qat else 'add'} --qat"
        )


def random_state() -> dict[str, Tensor]:
    """Return the state of PyTorch's generators, which dropout draws from."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Tensor]) -> None:
    """Put the generators back to what :func:`random_state` returned."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
