"""Reading tensors from files, without running code in them, and fitting them to a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from models.bounded import check_not_packed
from models.errors import WeightsError
from models.typed import convert

if TYPE_CHECKING:
    from torch import Tensor


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a ``.safetensors`` file, or a mapping of tensors from PyTorch's.

    Raises:
        Exception: whatever safetensors, pickle or PyTorch raise if the file is damaged or holds
            more than tensors.
    """
    import torch
    from safetensors.torch import load_file
    from torch import Tensor

    if path.suffix == ".safetensors":
        return load_file(path)
    check_not_packed(path)
    return convert(torch.load(path, map_location="cpu", weights_only=True), dict[str, Tensor])


def renamed(
    given: Mapping[str, Tensor],
    keys: Mapping[str, str],
    wanted: Mapping[str, Tensor],
    what: str,
    remedy: str,
) -> dict[str, Tensor]:
    """Return the tensors of a file under the names that a network has for them.

    Args:
        given: tensors of the file that must have a place in the network.
        keys: name in the network -> key in the file.
        wanted: state dict of the network, for the shapes.
        what: names the weights in the error.
        remedy: what to do when they do not fit.

    Raises:
        WeightsError: a key is missing, unknown, or has another shape.
    """
    names = {key: name for name, key in keys.items()}
    for key in (*names, *sorted(given.keys() - names.keys())):
        found = _shape(given.get(key))
        expected = _shape(wanted[names[key]] if key in names else None)
        if found != expected:
            raise WeightsError(f"{what} hold {found} for {key}, expected {expected}; {remedy}")
    return {name: given[key] for key, name in names.items()}


def _shape(tensor: Tensor | None) -> str:
    return "nothing" if tensor is None else f"shape {tuple(tensor.shape)}"
