"""The deployment graph with INT8 convolutions, as Q/DQ pairs: what compilers export for INT8."""

from __future__ import annotations

import copy
import hashlib
import operator
import warnings
from collections.abc import Callable, Collection
from functools import cached_property

import torch
from torch import nn
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.utils import _fuse_conv_bn_

from calibration.placement import CONVOLUTIONS, TRANSPOSED, Placement, convolution_name, place
from calibration.quantiser import RoadQuantizer, observe_weights, set_ranges
from calibration.table import Dtype
from pipeline.deploy import FRAME_SIZES, DeploymentGraph

_aten = torch.ops.aten

#: Name that a convolution's INT8 weights have beside it.
INT8_WEIGHT = "weight_int8"

#: Tensor name (see ``Placement.tensors``) and ``int8`` or ``uint8`` -> largest magnitude kept.
Thresholds = Callable[[str, Dtype], float]


class CapturedGraph:
    """A deployment graph as ATen operators, frame sizes free, batch norms folded.

    Args:
        graph: in FP32.
    """

    def __init__(self, graph: DeploymentGraph) -> None:
        self.graph = graph
        self.module = _capture(graph)

    def placement(self, high_precision: Collection[str] = ()) -> Placement:
        """Decide which convolutions run in INT8; those in ``high_precision`` do not."""
        return place(self.module, high_precision)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over what ranges depend on: every convolution, every quantised tensor."""
        placement = self.placement()
        lines = [
            f"{convolution_name(node)} {node.target} {[str(a) for a in node.args[3:]]} "
            f"{tuple(node.args[1].meta['val'].shape)}"
            for node in self.module.graph.nodes
            if convolution_name(node)
        ]
        lines += [f"{name} {tuple(n.meta['val'].shape)}" for n, name in placement.tensors.items()]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def in_type(self, dtype: torch.dtype) -> GraphModule:
        """Return a fresh copy in ``dtype``; its batch norms were folded in FP32 all the same."""
        if dtype == self.graph.dtype:
            with warnings.catch_warnings():  # torch's own pytree types
                warnings.simplefilter("ignore", FutureWarning)
                return copy.deepcopy(self.module)
        module = _capture(self.graph.with_dtype(dtype))
        module.load_state_dict(self.module.state_dict())
        return module


class QuantisedGraph:
    """A captured graph whose convolutions are quantised where the placement says so.

    Args:
        captured: the graph in floating point.
        thresholds: ranges of its quantised tensors.
        high_precision: convolutions that stay in floating point beside those of the rules.
        unsigned: use 0..255 for tensors that are never negative; TensorRT takes signed bytes only.
    """

    def __init__(
        self,
        captured: CapturedGraph,
        thresholds: Thresholds,
        high_precision: Collection[str],
        unsigned: bool,
    ) -> None:
        self.captured = captured
        self.high_precision = frozenset(high_precision)
        self.placement = captured.placement(self.high_precision)
        self._thresholds = thresholds
        self._unsigned = unsigned

    def with_dtype(self, dtype: torch.dtype) -> nn.Module:
        """Return the graph for export, what is not INT8 in ``dtype``; scales are FP32."""
        module = self.captured.in_type(dtype)
        placement = place(module, self.high_precision)
        names = {node.name: name for node, name in placement.tensors.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            prepared = prepare_pt2e(module, RoadQuantizer(placement, self._unsigned))
            set_ranges(prepared, lambda node, kind: self._thresholds(names[node], kind))
            observe_weights(prepared)
            convolutions = [convolution_name(node) for node in _convolutions(prepared)]
            converted: GraphModule = convert_pt2e(prepared)
        _name_weights(converted, convolutions)
        return converted


def _capture(graph: DeploymentGraph) -> GraphModule:
    # Not the network's own size: an example of equal size could be specialised into the graph.
    example = torch.zeros((1, 270, 482, 3), dtype=torch.uint8)
    height = torch.export.Dim("height", min=FRAME_SIZES[0], max=FRAME_SIZES[1])
    width = torch.export.Dim("width", min=FRAME_SIZES[0], max=FRAME_SIZES[1])
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(graph, (example,), dynamic_shapes=({1: height, 2: width},))
        module: GraphModule = exported.module()
        _fuse_conv_bn_(module)
        _scale_and_shift(module)
    return module


def _scale_and_shift(module: GraphModule) -> None:
    """Write batch norms that stand behind no convolution as a multiplication and an addition.

    While one is left, torchao's conversion searches the graph for patterns of quantisation-aware
    training, which takes a minute (FC-DenseNet) and finds nothing.
    """
    graph = module.graph
    for norm in graph.find_nodes(op="call_function", target=_aten.batch_norm.default):
        read = operator.attrgetter(*(str(value.target) for value in norm.args[1:5]))
        weight, bias, mean, variance = read(module)
        scale = weight / torch.sqrt(variance + norm.args[7])
        result = norm.args[0]
        with graph.inserting_before(norm):
            for operation, constant in ((_aten.mul, scale), (_aten.add, bias - mean * scale)):
                name = f"{norm.name}_{operation.__name__}"
                module.register_buffer(name, constant.detach().view(-1, 1, 1))
                result = graph.call_function(operation.Tensor, (result, graph.get_attr(name)))
                result.meta = norm.meta.copy()
        norm.replace_all_uses_with(result)
        graph.erase_node(norm)
    module.recompile()


def _convolutions(module: GraphModule) -> list[Node]:
    return [node for node in module.graph.nodes if node.target in CONVOLUTIONS | TRANSPOSED]


def _name_weights(module: GraphModule, names: list[str | None]) -> None:
    """Put folded INT8 weights where their convolution is, so that exports can name it.

    The conversion folds them into attributes called ``_frozen_param0`` and so on.
    """
    for node, name in zip(_convolutions(module), names, strict=True):
        weight = node.args[1]
        while isinstance(weight, Node) and weight.op != "get_attr":
            weight = weight.all_input_nodes[0]
        assert isinstance(weight, Node)
        folded = str(weight.target)
        if folded.startswith("_frozen_param"):
            owner = module.get_submodule(f"network.{name}")
            owner.register_buffer(INT8_WEIGHT, getattr(module, folded))
            weight.target = f"network.{name}.{INT8_WEIGHT}"
            delattr(module, folded)
    module.recompile()
