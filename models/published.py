"""Whole networks that torchvision publishes, and how their state dicts are read.

Nothing is downloaded; the user gives the file. It has the tensors of a network here under other
names. The auxiliary head, which no engine needs, is left out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from models.classes import VOC
from models.errors import WeightsError, translated
from models.spec import InputSpec, ModelSpec
from models.state_file import read_state, renamed

if TYPE_CHECKING:
    from torch import Tensor


class PublishedNetwork(NamedTuple):
    """Attributes: torchvision's ``name`` of the network, and the ``file`` on its server."""

    name: str
    file: str

    @property
    def url(self) -> str:
        """Where the weights are, trained on COCO's pictures of VOC's classes."""
        return f"https://download.pytorch.org/models/{self.file}"


#: What all of them were trained for: VOC's classes, pictures as torchvision normalises them, and
#: output stride 8.
_CLASSES, _INPUT, _OUTPUT_STRIDE = VOC, InputSpec(), 8

#: By registry name.
NETWORKS = {
    "fcn_resnet50": PublishedNetwork("fcn_resnet50", "fcn_resnet50_coco-1167a1af.pth"),
    "fcn_resnet101": PublishedNetwork("fcn_resnet101", "fcn_resnet101_coco-7ecb50ca.pth"),
    "deeplab_v3_resnet50": PublishedNetwork(
        "deeplabv3_resnet50", "deeplabv3_resnet50_coco-cd0a2569.pth"
    ),
    "deeplab_v3_resnet101": PublishedNetwork(
        "deeplabv3_resnet101", "deeplabv3_resnet101_coco-586e9e4e.pth"
    ),
}

_BACKBONE = "backbone."
#: Prefixes of torchvision's keys and of ours.
_BEGINNINGS = ((_BACKBONE, "encoder."), ("classifier.", "head."))

_AUXILIARY = "aux_classifier."


def is_published(path: Path) -> bool:
    """Whether a weight file is PyTorch's, or a safetensors file with torchvision's keys.

    A damaged file is judged by its suffix.
    """
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return any(name.startswith(_BACKBONE) for name in file.keys())  # noqa: SIM118
    except Exception:  # whatever safetensors raises for another kind of file
        if path.suffix in (".pth", ".pt", ".safetensors"):
            return path.suffix != ".safetensors"
    with path.open("rb") as opened:
        return opened.read(4).startswith((b"PK", b"\x80"))  # a zip file, or an older pickle


def as_published(spec: ModelSpec, path: Path) -> ModelSpec:
    """Return ``spec`` as its published weights were trained: classes, normalisation, stride.

    Args:
        spec: registry row of the network; its size stays.
        path: of a published file, see :func:`is_published`.

    Raises:
        WeightsError: no published weights are known for the network.
    """
    _row(spec, path)
    given = spec.input
    spec = replace(
        spec, classes=_CLASSES, input=replace(_INPUT, width=given.width, height=given.height)
    )
    if spec.output_stride == _OUTPUT_STRIDE:
        return spec
    strides = {spec.output_stride, *spec.output_strides} - {_OUTPUT_STRIDE}
    return replace(
        spec,
        output_stride=_OUTPUT_STRIDE,
        output_strides=tuple(sorted(strides)),
        variant={**spec.variant, "output_stride": _OUTPUT_STRIDE},
    )


def read_published(path: Path, spec: ModelSpec, wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """Read a published state dict under the names that it has here.

    Args:
        path: of a published file, see :func:`is_published`.
        spec: registry row of the network.
        wanted: state dict of the network, which it must fill.

    Raises:
        WeightsError: no published weights are known for the network, or the file is damaged, holds
            more than tensors, or other tensors, of which the first is named.
    """
    row = _row(spec, path)
    problem = f"weights {path} cannot be read as a state dict of torchvision's {row.name}"
    with translated(WeightsError, problem, f"pass the file as published: {row.url}"):
        state = read_state(path)
    given = {key: value for key, value in state.items() if not key.startswith(_AUXILIARY)}
    remedy = (
        f"pass torchvision's {row.name} of {len(spec.classes)} classes ({row.url}), or one trained "
        "for the same classes"
    )
    keys = {name: _theirs(name) for name in wanted}
    return renamed(given, keys, wanted, f"weights {path}", remedy)


def _row(spec: ModelSpec, path: Path) -> PublishedNetwork:
    if spec.name not in NETWORKS:
        raise WeightsError(
            f"weights {path} are a published PyTorch file, but none are known for {spec.name} "
            f"(known for: {', '.join(NETWORKS)}); pass a safetensors file that 'train' wrote"
        )
    return NETWORKS[spec.name]


def _theirs(name: str) -> str:
    for theirs, ours in _BEGINNINGS:
        if name.startswith(ours):
            return theirs + name[len(ours) :]
    return name
