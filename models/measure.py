"""What a network costs, counted on its layers without computing anything."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.registry import build_model
from models.spec import ModelSpec


@dataclass(frozen=True)
class Cost:
    """Attributes: learned ``parameters``; ``gmacs``, 10^9 multiply-adds of one picture."""

    parameters: int
    gmacs: float


def cost_of(spec: ModelSpec) -> Cost:
    """Count parameters, and multiply-adds of convolutions and matrix products at ``spec.input``.

    Element-wise work (norms, activations, pooling, unpooling) is left out, as papers do.
    """
    with torch.device("meta"):  # shapes without memory: the largest network costs nothing
        network = build_model(spec).eval()
        picture = torch.empty(1, 3, spec.input.height, spec.input.width)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(picture)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Cost(parameters, counter.get_total_flops() / 2e9)  # a multiply-add is two operations
