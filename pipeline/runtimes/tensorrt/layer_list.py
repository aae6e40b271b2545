"""The layers that TensorRT's builder made of a network, from its own list, which needs no GPU.

With ``ProfilingVerbosity.DETAILED`` the builder logs every layer after fusion, one per line, with
its input and output types. The network holds only what was planned, this list what was built. Its
format is that of the engine inspector's ``LayerInformationFormat.ONELINE``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.engine.manifest import LayerPrecisions

#: Beginning of the message with the list.
BEGINNING = "Layers:"
#: Layers that launch no kernel: synchronisation of streams, and shapes on the processor.
_NO_KERNELS = frozenset({"signal", "wait", "shape_call"})
_LINE = re.compile(
    r"^Name: (?P<name>.+?), LayerType: (?P<kind>\w+), Inputs: (?P<inputs>.*?), "
    r"Constants: (?P<constants>.*?), Outputs: (?P<outputs>.*?), TacticName: .*?"
    r"Metadata: (?P<metadata>.*)$",
    re.MULTILINE,
)
_TENSOR = re.compile(r"Dimensions: \[(?P<sizes>[^\]]*)\].*?Datatype: (?P<type>\w+)")
_ORIGIN = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
#: Suffix of names: the kernel's place in the builder's schedule.
_PLACE = re.compile(r"_myl\d+_\d+$")
#: Kernels that the builder generates, for the operations between convolutions.
_GENERATED = "kgen"
_PRECISIONS = {"Int8": "int8", "Half": "fp16", "BFloat16": "bf16", "Float": "fp32"}


@dataclass(frozen=True)
class Layer:
    """One line of the list.

    Attributes:
        name: without the builder's suffix.
        kind: ``correlation`` for a convolution, ``kgen`` for a generated kernel, and others.
        origins: names of the network's layers that were fused into it, where listed.
        inputs, outputs: types of tensors, such as ``Int8``.
        weights: types of constants with four dimensions or more.
    """

    name: str
    kind: str
    origins: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: tuple[str, ...]


def layers_in(text: str) -> Iterator[Layer]:
    """Parse the builder's list, without its lines on tensors and streams."""
    for line in _LINE.finditer(text):
        constants = _TENSOR.finditer(line["constants"])
        yield Layer(
            _PLACE.sub("", line["name"]),
            line["kind"],
            tuple(_ORIGIN.findall(line["metadata"])),
            tuple(tensor["type"] for tensor in _TENSOR.finditer(line["inputs"])),
            tuple(tensor["type"] for tensor in _TENSOR.finditer(line["outputs"])),
            tuple(c["type"] for c in constants if c["sizes"].count(",") >= 3),
        )


def read_back(text: str, planned: LayerPrecisions) -> LayerPrecisions:
    """Return the precision of each convolution of a network, by the builder's list.

    Args:
        text: of the list; empty where this TensorRT writes none.
        planned: convolutions of the network that was built.

    Returns:
        ``planned`` where there is no list. A convolution that the list does not name was fused into
        another layer; where INT8 was planned for it, its precision is ``unknown``.
    """
    layers = [layer for layer in layers_in(text) if layer.kind not in _NO_KERNELS]
    if not layers:
        return planned
    by_name, by_origin = defaultdict(list), defaultdict(list)
    for layer in layers:
        by_name[layer.name].append(layer)
        for origin in layer.origins:
            by_origin[origin].append(layer)
    convolutions = {}
    for name, plan in planned.convolutions.items():
        parts = [layer for layer in by_origin[name] if layer.kind != _GENERATED] or by_origin[name]
        found = [_precision(layer) for layer in by_name[name] or parts]
        convolutions[name] = next(filter(None, found), "unknown" if plan == "int8" else plan)
    return LayerPrecisions("builder", convolutions, len(layers))


def _precision(layer: Layer) -> str:
    """Return INT8 where input and weights are INT8, else the type of the one that is not."""
    if not layer.inputs:
        return ""
    if layer.inputs[0] == "Int8" and "Int8" not in layer.weights:
        return next((_PRECISIONS[kind] for kind in layer.weights if kind in _PRECISIONS), "")
    return _PRECISIONS.get(layer.inputs[0], "")
