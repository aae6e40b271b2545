"""Size and cost of a network, counted from its layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.spec import InputSpec


@dataclass(frozen=True)
class Cost:
    """Attributes: learned ``parameters``; ``gmacs``, 10^9 multiply-adds of one picture."""

    parameters: int
    gmacs: float


def cost_of_network(network: nn.Module, spec: InputSpec) -> Cost:
    """Count parameters, and multiply-adds of convolutions and matrix products.

    Element-wise work (norms, activations, pooling, unpooling) is left out, as papers do.

    Args:
        network: in eval mode, on the meta device, so that nothing is computed.
        spec: size of the picture.
    """
    picture = torch.empty(1, 3, spec.height, spec.width, device="meta")
    # Constants that a network creates must be on the meta device too.
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(picture)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Cost(parameters, counter.get_total_flops() / 2e9)  # a multiply-add is two operations
