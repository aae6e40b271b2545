"""The deployment graph as ATen operators with its batch norms folded.

INT8 and FP16 start from this graph. Folding before rounding saves one rounding per layer: in FP16,
on the worst of eight frames, 99.7 % of pixels get the class of PyTorch's FP32 (trained segnet), and
96.9 % without folding.
"""

from __future__ import annotations

import copy
import hashlib
import operator
import warnings
from collections.abc import Collection
from functools import cached_property
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.utils import _fuse_conv_bn_

from calibration.quantizer.arguments import argument
from calibration.quantizer.placement import Placement, convolution_name, place
from pipeline.graph.deployment import DeploymentGraph, example_frames

_aten = torch.ops.aten


class ExportedGraph:
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
        """SHA-256 over what ranges depend on: every convolution, every quantised tensor.

        Tensors that only classifiers read are left out: older tables have no range for them, and
        stay valid.
        """
        placement = self.placement(self.placement().classifiers)
        # Arguments as written, without defaults: existing tables were made with this.
        lines = [
            f"{convolution_name(node)} {node.target} {[str(a) for a in node.args[3:]]} "
            f"{tuple(argument(node, 'weight').meta['val'].shape)}"
            for node in self.module.graph.nodes
            if convolution_name(node)
        ]
        lines += [f"{name} {tuple(n.meta['val'].shape)}" for n, name in placement.tensors.items()]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def with_dtype(self, dtype: torch.dtype, free_batch: bool = False) -> GraphModule:
        """Return a copy in ``dtype``, whose batch norms were folded in FP32.

        Args:
            dtype: floating-point type of the copy.
            free_batch: the copy takes any number of frames; the original takes one.
        """
        if dtype == self.graph.dtype and not free_batch:
            with warnings.catch_warnings():  # torch's own pytree types
                warnings.simplefilter("ignore", FutureWarning)
                return copy.deepcopy(self.module)
        module = _capture(self.graph.with_dtype(dtype), free_batch)
        module.load_state_dict(self.module.state_dict())
        return module


def _capture(graph: DeploymentGraph, free_batch: bool = False) -> GraphModule:
    example, free = example_frames(free_batch)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(graph, (example,), dynamic_shapes=(free,))
        module: GraphModule = exported.module()
        _fuse_conv_bn_(module)
        _scale_and_shift(module)
    return module


def _scale_and_shift(module: GraphModule) -> None:
    """Replace batch norms that follow no convolution by a multiplication and an addition.

    With a batch norm left, torchao's conversion searches the graph for patterns of
    quantisation-aware training, which takes a minute (FC-DenseNet) and finds nothing.
    """
    graph = module.graph
    for norm in graph.find_nodes(op="call_function", target=_aten.batch_norm.default):
        mean, variance = (_held(module, norm, name) for name in ("running_mean", "running_var"))
        weight, bias = (_held(module, norm, name) for name in ("weight", "bias"))
        if mean is None or variance is None:
            continue  # it normalises with the picture's own statistics, which are not constants
        deviation = torch.sqrt(variance + argument(norm, "eps"))
        scale = (torch.ones_like(mean) if weight is None else weight) / deviation
        bias = torch.zeros_like(mean) if bias is None else bias
        result = argument(norm, "input")
        with graph.inserting_before(norm):
            for operation, constant in ((_aten.mul, scale), (_aten.add, bias - mean * scale)):
                name = f"{norm.name}_{operation.__name__}"
                module.register_buffer(name, constant.detach().view(-1, 1, 1))
                result = graph.call_function(operation.Tensor, (result, graph.get_attr(name)))
                result.meta = norm.meta.copy()
        norm.replace_all_uses_with(result)
        graph.erase_node(norm)
    module.recompile()


def _held(module: GraphModule, node: Node, name: str) -> Any:
    """Return the module's tensor that a node has as an argument; None where it has none."""
    value = argument(node, name)
    return None if value is None else operator.attrgetter(str(value.target))(module)
