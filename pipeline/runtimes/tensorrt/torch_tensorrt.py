"""The front end torch-tensorrt: its lowering and its converters fill the network.

After that our own code builds the engine, as for ONNX; torch-tensorrt's own build would load the
engine on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from pipeline.errors import BuildError
from pipeline.graph.deployment import DeploymentGraph, example_frames
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.frame_sizes import FRAME_SIZES
from pipeline.progress import Progress
from pipeline.runtimes.compiler import INPUT, OUTPUT, Job
from pipeline.runtimes.tensorrt.network import Filled
from pipeline.runtimes.tensorrt.torch_tensorrt_converters import registered, share_dequantised
from pipeline.runtimes.tensorrt.torch_tensorrt_target import known_version, offline_target, replaced


def fill(trt: ModuleType, job: Job, logger: Any, progress: Progress) -> Filled:
    """Fill a strongly typed network with the job's whole graph.

    Raises:
        BuildError: the graph is an ONNX file, or torch-tensorrt does not take an operator.
        RuntimeMissingError: torch-tensorrt is not installed, or of an unknown version.
    """
    known_version(trt)
    if isinstance(job.graph, Path):
        raise BuildError(
            f"{job.graph.name} was given with --front-end torch-tensorrt, which takes PyTorch "
            "networks; build ONNX files with --front-end onnx"
        )
    progress("capturing the network", 0.0)
    with _explained("torch.export did not take the network"):
        exported = _exported(job)
    with ExitStack() as changes:
        torch_tensorrt = changes.enter_context(offline_target(trt, job.form.targets))
        changes.enter_context(registered(trt, torch_tensorrt))
        dynamo = torch_tensorrt.dynamo
        progress("lowering", 0.15)
        settings = dynamo.CompilationSettings()
        with _explained("torch-tensorrt did not lower the network"):
            module = _lowered(exported, dynamo.lowering, settings)
        conversion = dynamo.conversion._TRTInterpreter
        progress("filling the network", 0.3)
        changes.enter_context(replaced(conversion, "TRT_LOGGER", logger))
        interpreter = conversion.TRTInterpreter(
            module,
            [_input(torch_tensorrt, job)],
            compilation_settings=settings,
            input_binding_names=[INPUT],
            output_binding_names=[OUTPUT],
        )
        _refuse_unknown_operators(module, conversion.CONVERTERS, known_version(trt))
        _convert(interpreter, known_version(trt))
    network = interpreter.ctx.net
    _name_convolutions(trt, network, module)
    return Filled(interpreter.builder, network, keep=interpreter)


def _exported(job: Job) -> ExportedProgram:
    graph = job.graph
    assert not isinstance(graph, Path)
    dtype = torch.float32 if job.floats == "fp32" else torch.float16
    source = ExportedGraph(graph) if isinstance(graph, DeploymentGraph) else graph
    module = source.with_dtype(dtype, job.free_batch)
    example, free = example_frames(job.free_batch)
    with torch.no_grad():
        return torch.export.export(module, (example,), dynamic_shapes=(free,))


def _lowered(exported: ExportedProgram, lowering: ModuleType, settings: Any) -> GraphModule:
    """Lower a program as torch-tensorrt does before it converts it."""
    exported = lowering.pre_export_lowering(exported, settings)
    exported = exported.run_decompositions(lowering.get_decompositions())
    module: GraphModule = lowering.post_lowering(exported.module(), settings)
    share_dequantised(module)
    return module


def _input(torch_tensorrt: ModuleType, job: Job) -> Any:
    """Describe the frames; sizes that differ between these shapes are free in the network."""
    low, high = FRAME_SIZES
    fewest, usual, most = job.form.batch
    return torch_tensorrt.Input(
        min_shape=(fewest, low, low, 3),
        opt_shape=(usual, low, low, 3),
        max_shape=(most, high, high, 3),
        dtype=torch.uint8,
        name=INPUT,
    )


def _refuse_unknown_operators(module: GraphModule, converters: Any, version: str) -> None:
    for node in module.graph.nodes:
        if node.op == "call_function" and converters.get(node) is None:
            raise BuildError(
                f"torch-tensorrt {version} has no converter for {_called(node)}, expected one for "
                "every operator; rewrite the operation, or build with --front-end onnx"
            )


def _convert(interpreter: Any, version: str) -> None:
    # Before the conversion, which removes the last entry of each node's module stack.
    called = {node: _called(node) for node in interpreter.module.graph.nodes}
    with _explained(
        lambda: f"torch-tensorrt {version} did not convert {called[interpreter._cur_node]}"
    ):
        interpreter._construct_trt_network_def()


@contextmanager
def _explained(what: str | Callable[[], str]) -> Iterator[None]:
    """Turn any exception of torch into one line; they are all about the network."""
    try:
        yield
    except Exception as error:
        failed = what if isinstance(what, str) else what()
        reason = str(error).strip().splitlines() or [""]
        raise BuildError(
            f"{failed} ({type(error).__name__}: {reason[0]}); rewrite the operation, or build with "
            "--front-end onnx"
        ) from error


def _called(node: Node) -> str:
    """Return an operator with its input shapes and its module, for messages."""
    shapes = [
        str(tuple(source.meta["val"].shape))
        for source in node.all_input_nodes
        if isinstance(source.meta.get("val"), torch.Tensor)
    ]
    stack = node.meta.get("nn_module_stack") or {}
    places = [str(path) for path, _ in stack.values() if path]
    place = places[-1] if places else "the deployment graph"
    return f"{node.target} of {', '.join(shapes)} in {place} ({node.name})"


def _name_convolutions(trt: ModuleType, network: Any, module: GraphModule) -> None:
    """Give each convolution its name in the network, as in ONNX files."""
    kinds = {trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION}
    layers = (network.get_layer(index) for index in range(network.num_layers))
    made = [layer for layer in layers if layer.type in kinds]
    targets = {
        torch.ops.aten.convolution.default,
        torch.ops.tensorrt.conv_asym_pad.default,  # a padding and a convolution
    }
    nodes = [node for node in module.graph.nodes if node.target in targets]
    for layer, node in zip(made, nodes, strict=True):  # both are in the order of the graph
        weight = node.args[1]
        while weight.op != "get_attr":  # INT8 weights are dequantised
            weight = weight.all_input_nodes[0]
        layer.name = str(weight.target).removeprefix("network.").rpartition(".")[0]
