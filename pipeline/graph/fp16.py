"""The deployment graph in FP16, with FP32 where FP16 overflows or loses too much.

A strongly typed network computes in the types of its graph, so values beyond FP16 must be FP32 in
the graph. They are found by running frames: operations that write or read a tensor near the end of
FP16's range (65504) stay in FP32. Where class maps still differ from FP32's, the operations that
lose most stay in FP32, too, twice as many at each try, until the class maps agree.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.fx import Graph, GraphModule, Interpreter, Node
from torch.fx.node import map_arg

from calibration.quantizer.placement import convolution_name
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.tolerances import TOLERANCES

_aten = torch.ops.aten

Frames = NDArray[np.uint8]

#: Largest magnitude that stays in FP16: half its range, since other frames may reach further.
LARGEST = torch.finfo(torch.float16).max / 2
#: Largest share of the operations that are kept for accuracy; with more, FP16 gains too little.
MOST_KEPT = 0.25


@dataclass(frozen=True)
class FP16Graph:
    """An exported graph in FP16, except for some operations.

    Attributes:
        exported: the graph in FP32.
        kept: names of the operations that stay in FP32 -> why.
        agreement: share of pixels, 0..1, that get FP32's class, on the worst frame; None where it
            was not measured.
    """

    exported: ExportedGraph
    kept: Mapping[str, str]
    agreement: float | None

    @property
    def named(self) -> dict[str, str]:
        """``kept`` with the network's names of convolutions."""
        nodes = {node.name: node for node in self.exported.module.graph.nodes}
        return {convolution_name(nodes[name]) or name: why for name, why in self.kept.items()}

    def with_dtype(self, dtype: torch.dtype, free_batch: bool = False) -> GraphModule:
        """Return the graph for export; ``dtype`` is FP16, or FP32 for all of it."""
        module = self.exported.with_dtype(dtype, free_batch)
        if dtype == torch.float16:
            keep_in_fp32(module, self.exported.module, self.kept)
        return module


def to_fp16(exported: ExportedGraph, frames: Sequence[Frames], judged: bool = True) -> FP16Graph:
    """Find the operations that have to stay in FP32, for FP16 builds and for FP16 beside INT8.

    Args:
        exported: graph in FP32.
        frames: road scenes, (1, H, W, 3) uint8 each, at least one.
        judged: also keep operations whose loss changes class maps; not needed for INT8, whose
            accuracy gate judges the whole graph.
    """
    kept = overflowing(exported.module, frames)
    if not judged:
        return FP16Graph(exported, kept, None)
    truths = [_classes(exported.module, frame) for frame in frames]
    agreement = _agreement(exported, kept, frames, truths)
    wanted = TOLERANCES["fp16"].agreement
    if agreement < wanted:
        ranked = _by_loss(exported.module, frames[0])
        most = max(1, int(MOST_KEPT * len(ranked)))
        count = 1
        while agreement < wanted and count <= most:
            why = f"class maps agreed on {agreement:.1%} of pixels before it was kept"
            for names in ranked[count // 2 : count]:
                kept = {**dict.fromkeys(names, why), **kept}
            agreement = _agreement(exported, kept, frames, truths)
            count *= 2
    return FP16Graph(exported, kept, agreement)


def overflowing(module: GraphModule, frames: Sequence[Frames]) -> dict[str, str]:
    """Return the operations that write or read values beyond FP16 -> how large these are."""
    probe = _Probe(module)
    for frame in frames:
        probe.run(torch.from_numpy(frame))
    found: dict[str, str] = {}
    for node in module.graph.nodes:
        reach = probe.peaks.get(node.name, 0.0)
        if reach <= LARGEST:
            continue
        if node.op == "call_function":
            found[node.name] = f"its values reach {reach:.3g}, FP16 ends at 65504"
        for user in node.users:
            if user.op == "call_function":
                why = f"its input reaches {reach:.3g}, FP16 ends at 65504"
                found.setdefault(user.name, why)
    return found


def keep_in_fp32(module: GraphModule, full: GraphModule, kept: Mapping[str, str]) -> None:
    """Compute the operations ``kept`` of an FP16 ``module`` in FP32, with the weights of ``full``.

    Raises:
        KeyError: an operation is not in ``module``.
    """
    graph = module.graph
    nodes = {node.name: node for node in graph.nodes}
    for name in kept:
        nodes[name].args = _widened(graph, nodes[name], module, full, kept)
    for name in kept:
        node = nodes[name]
        if not _is_float(node):
            continue
        with graph.inserting_after(node):
            narrow = graph.call_function(_aten.to.dtype, (node, torch.float16))
        for user in list(node.users):
            if user is not narrow and user.name not in kept and not _quantises(user):
                user.replace_input_with(node, narrow)
        if not narrow.users:
            graph.erase_node(narrow)
    graph.eliminate_dead_code()
    graph.lint()
    module.recompile()


def _widened(
    graph: Graph, node: Node, module: GraphModule, full: GraphModule, kept: Mapping[str, str]
) -> Any:
    """Return the arguments of ``node``, cast to FP32."""

    def widen(argument: Node) -> Node:
        if not _is_float(argument) or argument.name in kept:
            return argument
        with graph.inserting_before(node):
            if _dequantises(argument):
                exact: Node = graph.node_copy(argument)
                exact.kwargs = {**argument.kwargs, "out_dtype": torch.float32}
                return exact
            if argument.op == "get_attr" and _has(full, str(argument.target)):
                return graph.get_attr(_full_weight(module, full, str(argument.target)))
            wide: Node = graph.call_function(_aten.to.dtype, (argument, torch.float32))
            return wide

    return map_arg(node.args, widen)


def _full_weight(module: GraphModule, full: GraphModule, name: str) -> str:
    """Add the FP32 weight ``name`` beside its rounded copy; return its name."""
    owner, _, leaf = name.rpartition(".")
    holder = module.get_submodule(owner)
    if not hasattr(holder, f"{leaf}_fp32"):
        value = operator.attrgetter(name)(full)
        holder.register_buffer(f"{leaf}_fp32", value.detach().clone())
    return f"{name}_fp32"


def _has(module: GraphModule, name: str) -> bool:
    try:
        operator.attrgetter(name)(module)
    except AttributeError:
        return False
    return True


def _quantises(node: Node) -> bool:
    """Whether a node quantises to INT8, from FP32 or FP16 alike."""
    return str(node.target).startswith("quantized_decomposed.quantize")


def _dequantises(node: Node) -> bool:
    return str(node.target).startswith("quantized_decomposed.dequantize")


def _is_float(node: Node) -> bool:
    value = node.meta.get("val")
    if isinstance(value, Tensor):
        return value.is_floating_point()
    return _dequantises(node)  # the nodes of the conversion to Q/DQ have no value


def _agreement(
    exported: ExportedGraph,
    kept: Mapping[str, str],
    frames: Sequence[Frames],
    truths: Sequence[Tensor],
) -> float:
    module = FP16Graph(exported, kept, 0.0).with_dtype(torch.float16)
    same = (
        (_classes(module, frame) == truth).float().mean().item()
        for frame, truth in zip(frames, truths, strict=True)
    )
    return min(same)


@torch.no_grad()
def _classes(module: GraphModule, frame: Frames) -> Tensor:
    classes: Tensor = module(torch.from_numpy(frame))
    return classes


class _Probe(Interpreter):
    """Runs a graph in FP32 and notes the largest magnitude of every tensor."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.peaks: dict[str, float] = {}

    def run_node(self, n: Node) -> Any:
        with torch.no_grad():
            result = super().run_node(n)
        if isinstance(result, Tensor) and result.is_floating_point() and result.numel():
            peak = result.abs().max().item()
            self.peaks[n.name] = max(self.peaks.get(n.name, 0.0), peak)
        return result


class _Losses(Interpreter):
    """Runs a graph in FP32, and each operation once more in FP16 on the same operands."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.losses: dict[str, float] = {}

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        with torch.no_grad():
            return super().call_function(target, args, kwargs)

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n.op == "call_function" and isinstance(result, Tensor) and result.is_floating_point():
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            if any(isinstance(arg, Tensor) and arg.is_floating_point() for arg in args):
                rounded = [
                    arg.half() if isinstance(arg, Tensor) and arg.is_floating_point() else arg
                    for arg in args
                ]
                with torch.no_grad():
                    lost = n.target(*rounded, **kwargs).float() - result  # type: ignore[operator]
                self.losses[n.name] = (lost.norm() / result.norm().clamp_min(1e-12)).item()
        return result


def _by_loss(module: GraphModule, frame: Frames) -> list[tuple[str, ...]]:
    """Return the operations, those that lose most in FP16 first.

    Each is listed with the operations before it, whose results would otherwise be rounded.
    """
    runner = _Losses(module)
    runner.run(torch.from_numpy(frame))
    makers = {node.name: node.all_input_nodes for node in module.graph.nodes}
    return [
        (name, *(maker.name for maker in makers[name] if maker.name in runner.losses))
        for name in sorted(runner.losses, key=lambda name: -runner.losses[name])
    ]
