"""Whether an imported network computes what its file says: compared node by node if need be."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

from models.unpooling import max_pool_phases
from pipeline.errors import BuildError
from pipeline.graph.onnx_import.call import title
from pipeline.graph.onnx_import.file import ForeignFile, Picture
from pipeline.graph.onnx_import.importer import makers_of
from pipeline.graph.onnx_import.recorder import TENSOR
from pipeline.graph.tolerances import TOLERANCES

Array = NDArray[np.generic]

#: Largest difference as a share of the tensor's standard deviation, by type of the input.
_ALLOWED = {"float16": 10 * TOLERANCES["fp32"].logits}
#: Share of values that may differ more where the network compares or rounds: sums in another order
#: can turn such a decision.
_TURNED = 0.001
_DECISIONS = frozenset(
    {torch.eq, torch.gt, torch.ge, torch.lt, torch.le, torch.argmax, torch.argmin, torch.topk}
    | {torch.floor, torch.ceil, torch.round, torch.sign, max_pool_phases}
)


def check_import(
    file: ForeignFile, picture: Picture, module: GraphModule, raw: str, pictures: Tensor
) -> None:
    """Compare an imported network with ONNX Runtime, or with ONNX's own reference without it.

    Args:
        file: that it was imported from.
        picture: the file's input.
        module: the imported network.
        raw: tensor of the file that the logits are made of.
        pictures: (1, 3, h, w), as the network gets them.

    Raises:
        BuildError: they differ (the first node that does is named), or the reference fails.
    """
    fed = as_file_wants(picture, pictures)
    tolerance = _ALLOWED.get(picture.kind, TOLERANCES["fp32"].logits)
    turned = _TURNED if any(node.target in _DECISIONS for node in module.graph.nodes) else 0.0
    found = _Traced(module).tensors(pictures)
    truth = reference(file, picture, fed, [raw])
    if _difference(found[raw], truth[0], turned) <= tolerance:
        return
    makers = makers_of(file.graph)
    wanted = [name for name in found if name in makers]
    truth = reference(file, picture, fed, wanted)
    for name, expected in zip(wanted, truth, strict=True):
        difference = _difference(found[name], expected, turned)
        if not difference <= tolerance:
            raise BuildError(
                f"{file.path.name} was imported wrongly: node {title(makers[name])} differs from "
                f"ONNX by {difference:.2g} of its deviation, expected at most {tolerance}; please "
                "report the node and how the file was exported"
            )


class _Traced(Interpreter):
    """Runs an imported network and keeps every tensor of the file."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self._found: dict[str, Tensor] = {}

    @torch.no_grad()
    def tensors(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return them by name, in the order of computation."""
        self._found = {}
        self.run(pictures)
        return self._found

    def run_node(self, n: Node) -> object:
        """Run one operator; keep its result where it is a tensor of the file."""
        result = super().run_node(n)
        name = n.meta.get(TENSOR)
        if name is not None and isinstance(result, Tensor):
            self._found[name] = result
        return result


def as_file_wants(picture: Picture, pictures: Tensor) -> Array:
    """Return (1, 3, h, w) pictures in the layout and type of the file's input."""
    array = pictures.numpy()
    array = array if picture.layout == "nchw" else array.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(array).astype(picture.kind)


def _difference(found: Tensor, expected: Array, left_out: float) -> float:
    """Largest difference as a share of the expected values' standard deviation.

    The share ``left_out`` of the values, those that differ most, does not count.
    """
    truth = np.asarray(expected, np.float64)
    if tuple(found.shape) != truth.shape:
        return float("inf")
    scale = float(truth.std()) or 1.0
    differences = np.abs(found.double().numpy() - truth)
    return float(np.quantile(differences, 1 - left_out)) / scale


def reference(file: ForeignFile, picture: Picture, fed: Array, names: Sequence[str]) -> list[Array]:
    """Compute tensors of the file with ONNX Runtime, or ONNX's own reference without it."""
    model = _with_outputs(file.model, picture, names)
    feeds = {picture.name: fed}
    try:
        if find_spec("onnxruntime") is not None:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            return list(session.run(list(names), feeds))
        from onnx.reference import ReferenceEvaluator

        return list(ReferenceEvaluator(model).run(list(names), feeds))
    except Exception as error:  # each has its own tree
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BuildError(
            f"{file.path.name} cannot be run by ONNX itself at {picture.width}x{picture.height} "
            f"({reason}), expected a file that runs; export it again, or give another --size"
        ) from error


def _with_outputs(model: ModelProto, picture: Picture, names: Sequence[str]) -> ModelProto:
    """Return a copy with the outputs ``names``, its input fixed to one picture."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    graph = copied.graph
    for value in graph.input:
        if value.name == picture.name:
            dims = value.type.tensor_type.shape.dim
            for dim, size in zip(dims, picture.shape, strict=True):
                dim.dim_value = size
    del graph.value_info[:]
    del graph.output[:]
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return copied


def takes_several(module: GraphModule, pictures: Tensor) -> bool:
    """Whether a network gives a batch, (N, 3, h, w), what it gives its pictures one by one."""
    with torch.no_grad():
        alone = torch.cat([module(picture[None]) for picture in pictures])
        try:
            together = module(pictures)
        except RuntimeError:  # the file has sizes for one picture written into it
            return False
    same = together.shape == alone.shape
    return same and bool((together - alone).abs().max() <= 1e-3 * alone.std())
