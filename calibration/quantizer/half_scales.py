"""Scales of INT8 as FP16 holds them, for runtimes that want a scale in the type of its tensor.

TensorRT documents one type for a quantised tensor and its scale, and for a scale and what it is
dequantised to (operator pages of Quantize and Dequantize, TensorRT 10). So in an
FP16 network the scales are FP16. Below 2^-14, FP16's smallest normal number, they would lose
digits, or become zero on hardware that flushes such numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import torch
from torch import Tensor
from torch.fx import GraphModule
from torchao.quantization.pt2e.observer import PerChannelMinMaxObserver

from calibration.quantizer.placement import Placement
from calibration.records import Dtype

#: FP16's smallest normal number.
SMALLEST = 2.0**-14
#: Level of the largest magnitude of signed bytes.
_LEVELS = 127
#: Factor by which the rounding error of a convolution's weights may grow when channels with smaller
#: scales get :data:`SMALLEST`. Channels that training switched off have almost zero scales beside
#: others that are thousands of times larger; they hardly add to the error.
_MOST_GROWTH = 1.1


def in_half(scale: Tensor) -> Tensor:
    """Round FP32 scales to FP16's values, at least :data:`SMALLEST`."""
    return scale.clamp(min=SMALLEST).half().float()


class HalfPerChannelObserver(PerChannelMinMaxObserver):  # type: ignore[misc]  # torchao, no types
    """Weights of one scale per output channel, as FP16 holds it."""

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Return scales and zero points (channels)."""
        scale, zero = super().calculate_qparams()
        return in_half(scale), zero


def too_fine(
    module: GraphModule, placement: Placement, threshold_of: Callable[[str, Dtype], float]
) -> dict[str, str]:
    """Find INT8 convolutions whose scales are too small for FP16, each with the reason.

    Args:
        module: exported graph in FP32 that ``placement`` was made for.
        placement: of INT8.
        threshold_of: tensor name and ``int8`` -> largest magnitude kept.
    """
    found = {}
    tensors = placement.tensors
    for name, node in placement.nodes.items():
        value, weight = node.all_input_nodes[:2]
        step = threshold_of(tensors[value], "int8") / _LEVELS
        if 0 < step < SMALLEST:  # a missing range is reported later
            found[name] = f"its input has the scale {step:.1e}, FP16 ends at {SMALLEST:.1e}"
            continue
        weights = operator.attrgetter(str(weight.target))(module).detach().float()
        scales = weights.abs().flatten(1).amax(1) / _LEVELS
        grown = torch.sqrt(in_half(scales).square().sum() / scales.square().sum()).item()
        if grown > _MOST_GROWTH:
            small = int((scales < SMALLEST).sum())
            found[name] = (
                f"{small} of {len(scales)} weight scales are below {SMALLEST:.1e}, where FP16 ends"
            )
    return found
