"""What the networks of the registry cost."""

from __future__ import annotations

import torch

from models.measure import Cost, cost_of_network
from models.registry import build_model
from models.spec import ModelSpec


def cost_of(spec: ModelSpec) -> Cost:
    """Count what the network of ``spec`` has and does at ``spec.input``."""
    with torch.device("meta"):
        return cost_of_network(build_model(spec).eval(), spec.input)
