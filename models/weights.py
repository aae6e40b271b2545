"""Weight files: safetensors, with convolution kernels coded as int8 per output channel.

A kernel ``K`` (O, I, kh, kw) is stored as int8 under its own name and FP32 scales (O, 1, 1, 1)
under ``NAME.scale``; it is read back as ``int8 * scale``. Everything else (biases, batch norm)
stays FP32. The file is four times smaller than in FP32, so that the repository can hold full-width
weights; the card of each weight set has the mIoU that the coding costs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from models.atomic import atomic_path, sha256_of
from models.card import Card, read_card
from models.classes import ClassSet, check_classes
from models.errors import WeightsError, translated
from models.published import as_published, is_published, read_published
from models.registry import MODELS
from models.spec import LoadedWeights as LoadedWeights
from models.spec import ModelSpec
from models.typed import convert, parse_json

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Trained weights in the repository: NAME.safetensors with its card, NAME.json.
TRAINED = Path(__file__).parent / "trained"

_FORMAT = "roadseg-int8-1"
_SCALE = ".scale"


def registered_weights(model: str) -> Path | None:
    """Return the file of the best weights registered for ``model``, None if there are none."""
    path = TRAINED / f"{model}.safetensors"
    return path if path.exists() else None


def registered_table(model: str) -> Path:
    """Return the path of the registered weights' calibration table, which may not exist."""
    return TRAINED / f"{model}.calibration.json"


def weights_card(model: str) -> Card | None:
    """Return the card of the registered weights, None without one.

    Raises:
        WeightsError: it is damaged.
    """
    path = TRAINED / f"{model}.json"
    return read_card(path) if path.exists() else None


def licence_of_weights(model: str, sha256: str | None) -> str | None:
    """Return the terms of registered weights in a few words; None for any other weights.

    Args:
        model: registry name.
        sha256: of the weight file.
    """
    card = weights_card(model)
    if card is None or sha256 is None or card["sha256"] != sha256:
        return None
    if "CC BY-NC 4.0" in card["licence"]:
        return "CC BY-NC 4.0, for research only (the code is Apache-2.0)"
    return card["licence"]


def encode(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Code a state dict as described above; inverse of :func:`decode` up to rounding."""
    import torch

    coded: dict[str, Tensor] = {}
    for name, value in state.items():
        value = value.detach().cpu()
        if value.ndim == 4 and value.is_floating_point():
            peak = value.abs().amax((1, 2, 3), keepdim=True).float()
            scale = peak.clamp_min(1e-12) / 127
            coded[name] = (value.float() / scale).round().clamp(-127, 127).to(torch.int8)
            coded[name + _SCALE] = scale
        else:
            coded[name] = value.contiguous()
    return {name: value.contiguous() for name, value in coded.items()}


def decode(coded: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Restore a state dict: int8 kernels times their scales, all else as stored."""
    scales = {name for name in coded if name.endswith(_SCALE) and name[: -len(_SCALE)] in coded}
    return {
        name: value.float() * coded[name + _SCALE] if name + _SCALE in scales else value
        for name, value in coded.items()
        if name not in scales
    }


def save_weights(path: Path, spec: ModelSpec, state: Mapping[str, Tensor]) -> None:
    """Write ``state`` coded, with the network's name and its classes in the file's metadata."""
    from safetensors.torch import save_file

    classes = json.dumps(asdict(spec.classes))
    with atomic_path(path) as temporary:
        save_file(
            encode(state), temporary, {"format": _FORMAT, "model": spec.name, "classes": classes}
        )


def as_trained(spec: ModelSpec, source: str | None) -> ModelSpec:
    """Return ``spec`` with the class set that the weights ``source`` were trained for.

    Weights that torchvision published bring their normalisation and output stride as well.

    Args:
        spec: registry row of the network.
        source: as for :func:`load_weights`.

    Raises:
        WeightsError: no such file, a damaged one, or a published one of another network.
    """
    if source is None or source == "none":
        return spec
    from safetensors import safe_open

    path = _find(spec, source)
    if is_published(path):
        return as_published(spec, path)
    with _readable(path), safe_open(path, framework="pt") as file:
        classes = (file.metadata() or {}).get("classes")
    # The first files did not record the classes.
    return spec if classes is None else replace(spec, classes=_classes_of(path, classes))


def owner_of(source: str) -> str | None:
    """Return the network that a weight file, or a registered name, belongs to.

    None for a file that does not say so, such as a published one.

    Raises:
        WeightsError: the file cannot be read as safetensors.
    """
    from safetensors import safe_open

    path = Path(source)
    if source in MODELS or not path.is_file():
        return source if source in MODELS else None
    if is_published(path):
        return None
    with _readable(path), safe_open(path, framework="pt") as file:
        return (file.metadata() or {}).get("model")


def load_weights(network: nn.Module, spec: ModelSpec, source: str | None) -> LoadedWeights:
    """Fill ``network`` strictly.

    Args:
        network: built from ``spec``.
        spec: registry row of the network.
        source: a file, ours or one that torchvision published (see :mod:`models.published`);
            ``none`` to keep the random weights; a registered name; or None for the network's
            registered weights.

    Raises:
        WeightsError: nothing registered, no such file, damaged, or of another network.
    """
    if source == "none":
        return LoadedWeights("none", None)
    path = _find(spec, source)
    wanted = network.state_dict()
    state = read_published(path, spec, wanted) if is_published(path) else _read(path, spec)
    wrong = [
        name
        for name in sorted(wanted.keys() | state.keys())
        if name not in wanted or name not in state or wanted[name].shape != state[name].shape
    ]
    if wrong:
        raise WeightsError(
            f"weights {path.name} do not fit {spec.name}: {len(wrong)} of {len(wanted)} tensors "
            f"differ, the first is {wrong[0]}; pass weights that were trained for {spec.name}"
        )
    check_finite(path.name, state)
    network.load_state_dict(state)
    return LoadedWeights(path.stem if source is None else source, sha256_of(path))


def check_finite(name: str, state: Mapping[str, Tensor]) -> None:
    """Raise WeightsError if weights are NaN or infinite; the first tensor is named."""
    for tensor, values in state.items():
        wrong = int((~values.isfinite()).sum()) if values.is_floating_point() else 0
        if wrong:
            raise WeightsError(
                f"{name} holds {wrong} NaN or infinite values in {tensor}, expected none; the "
                "training diverged or the file is damaged, take an earlier checkpoint"
            )


def _find(spec: ModelSpec, source: str | None) -> Path:
    if source is not None and source not in MODELS:
        path = Path(source)
        if not path.is_file():
            raise WeightsError(
                f"weights {source} not found, expected a safetensors file, a published .pth, a "
                "network's name or 'none'; check --weights"
            )
        return path
    path_or_none = registered_weights(source or spec.name)
    if path_or_none is None:
        known = ", ".join(name for name in MODELS if registered_weights(name)) or "none"
        raise WeightsError(
            f"no trained weights are registered for {source or spec.name} (known: {known}); train "
            "them, pass --weights FILE, or --weights none for random ones"
        )
    return path_or_none


def _read(path: Path, spec: ModelSpec) -> dict[str, Tensor]:
    from safetensors import safe_open

    # Errors of safetensors, or of PyTorch about scales that fit no kernel.
    with _readable(path), safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        owner = metadata.get("model", spec.name)
        if owner != spec.name:
            raise WeightsError(
                f"weights {path.name} belong to {owner}, expected {spec.name}; pass weights "
                f"that were trained for {spec.name}"
            )
        _check_classes(path, spec, metadata.get("classes"))
        return decode({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118


def _classes_of(path: Path, recorded: str) -> ClassSet:
    try:
        classes = convert(parse_json(recorded), ClassSet)
        check_classes(classes)
    except (ValueError, TypeError) as error:
        raise WeightsError(
            f"weights {path} have no valid class set ({error}); the file is damaged, fetch or "
            f"train it again"
        ) from error
    return classes


def _check_classes(path: Path, spec: ModelSpec, recorded: str | None) -> None:
    names = spec.classes.names if recorded is None else _classes_of(path, recorded).names
    if names != spec.classes.names:
        raise WeightsError(
            f"weights {path.name} have {len(names)} classes ({', '.join(names[:3])}, ...), "
            f"expected the {len(spec.classes)} of {spec.name}; pass weights trained for these"
        )


def _readable(path: Path) -> AbstractContextManager[None]:
    problem = f"weights {path} cannot be read as safetensors"
    return translated(
        WeightsError, problem, "the file is damaged or of another kind, fetch or train it again"
    )
