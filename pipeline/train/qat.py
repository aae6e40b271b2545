"""Quantisation-aware fine-tuning: INT8 is simulated in the network itself while it trains.

The simulation follows the quantiser: the same placement, ranges and weight levels. It works on the
``nn.Module`` and not on an exported graph, so the result is an ordinary weight file, calibrated and
built like any other. Rounding has no useful gradient, so the gradient passes straight through where
a value was not clipped (Jacob et al. 2018, section 3).

Batch norms are folded into the convolutions when an engine is built; here they are still separate.
That makes no difference for the weights: folding multiplies each output channel by one number, and
so also its scale. A negative number changes the sign of the levels, which are symmetric, -127..127.

Not simulated are residual branches, which the engine quantises too, and the order of resizing and
rounding before a concatenation.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from calibration.errors import CalibrationError
from calibration.quantizer.placement import RESIZES, Placement
from models.spec import ModelSpec
from models.weights import load_weights, registered_table
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.qdq import Thresholds
from pipeline.progress import Progress
from pipeline.quantization.calibrate import Target
from pipeline.quantization.tables import classifiers_without_range, open_table

#: The smallest scale that the quantiser's weight observer gives, for filters of zeros.
_SMALLEST = torch.finfo(torch.float32).eps


def start_fine_tuning(
    network: nn.Module,
    spec: ModelSpec,
    weights: str | None,
    calibration: Path | None,
    progress: Progress,
) -> None:
    """Fill ``network`` with trained weights, and make it compute as its INT8 engine would.

    Args:
        network: built from ``spec``, on the CPU.
        spec: its registry row.
        weights: a source as for :func:`models.weights.load_weights`.
        calibration: a table, or a folder or video to measure the ranges on; None for the
            registered table.
        progress: called during a calibration.

    Raises:
        CalibrationError: no ranges, or ranges of another network.
        DataError: pictures to calibrate on that cannot be used.
        WeightsError: no weights, or of another network.
    """
    loaded = load_weights(network, spec, weights)
    if calibration is None and not registered_table(spec.name).exists():
        raise CalibrationError(
            f"--qat was asked for {spec.name}, which has no calibration table in the repository, "
            "and no --calibration was given; pass --calibration with a folder of road pictures, a "
            "video or a table"
        )
    exported = ExportedGraph(DeploymentGraph(copy.deepcopy(network), spec.input))
    target = Target(spec, loaded, exported)
    table, _ = open_table(target, calibration, progress)
    kept = (*table.high_precision, *classifiers_without_range(table, target))
    simulate_int8(network, exported.placement(kept), table.threshold_of)


def simulate_int8(network: nn.Module, placement: Placement, thresholds: Thresholds) -> None:
    """Round inputs and weights of the convolutions that ``placement`` puts in INT8, in place.

    Parameters and state dict keep their names and full precision.

    Args:
        network: whose exported graph ``placement`` was made for.
        placement: which convolutions.
        thresholds: ranges of the tensors that they read.
    """
    for name, threshold in input_thresholds(placement, thresholds).items():
        convolution = network.get_submodule(name)
        simulation = _Simulation(threshold)
        convolution.register_forward_pre_hook(simulation.before)
        convolution.register_forward_hook(simulation.after, always_call=True)
    for name, threshold in _searched_thresholds(placement, thresholds).items():
        network.get_submodule(name).register_forward_hook(_Rounding(threshold).after)


def input_thresholds(placement: Placement, thresholds: Thresholds) -> dict[str, float]:
    """Return, for each INT8 convolution, the largest magnitude that its input keeps.

    Convolutions that read one tensor share its range, and all parts of a concatenation share the
    largest of theirs.
    """
    names = placement.tensors
    found = {}
    for convolution, node in placement.nodes.items():
        tensor = node.all_input_nodes[0]
        on_one_scale = [tensor]
        if tensor in placement.concats:
            parts = tensor.all_input_nodes
            on_one_scale += parts
            on_one_scale += [part.all_input_nodes[0] for part in parts if part.target in RESIZES]
        found[convolution] = max(thresholds(names[value], "int8") for value in on_one_scale)
    return found


def _searched_thresholds(placement: Placement, thresholds: Thresholds) -> dict[str, float]:
    """Return, by layer, the range of outputs that a pooling with positions reads.

    The engine searches the maximum among rounded values, of which more are equal. Pooling without
    positions needs only the rounding of the convolution's input, since rounding keeps the order.
    """
    names = placement.sites
    return {
        _layer_of(value): thresholds(names[value], "int8")
        for value in placement.pooled
        if len(value.users) > 1
    }


def _layer_of(value: Node) -> str:
    """Return the name of the innermost module that computed a tensor of the exported graph."""
    path, _ = list(value.meta["nn_module_stack"].values())[-1]
    return str(path).removeprefix("network.")


def rounded_weight(weight: Tensor) -> Tensor:
    """Round (O, I, kh, kw) to 255 levels per output channel; the gradient passes through."""
    scale = (weight.detach().abs().amax((1, 2, 3)) / 127).clamp_min(_SMALLEST)
    zero = torch.zeros_like(scale, dtype=torch.int32)
    rounded: Tensor = torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127)
    return rounded


class _Rounding:
    """Rounds activations to 256 levels on one scale, as a function or as a hook of their layer."""

    def __init__(self, threshold: float) -> None:
        self.scale = threshold / 127

    def __call__(self, x: Tensor) -> Tensor:
        rounded: Tensor = torch.fake_quantize_per_tensor_affine(x, self.scale, 0, -128, 127)
        return rounded

    def after(self, _layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        """Return the rounded output."""
        return self(output)


class _Simulation:
    """The hooks of one convolution.

    During a forward pass an instance attribute with the rounded weight hides the parameter of the
    same name, which itself is not changed.
    """

    def __init__(self, threshold: float) -> None:
        self.rounding = _Rounding(threshold)

    def before(self, convolution: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        """Return the rounded input, and hide the weight behind the rounded one."""
        weight = convolution.get_parameter("weight")
        object.__setattr__(convolution, "weight", rounded_weight(weight))
        return self.rounding(inputs[0])

    def after(self, convolution: nn.Module, _inputs: Any, _output: Any) -> None:
        """Remove the rounded weight, also after a failed forward pass."""
        convolution.__dict__.pop("weight", None)
