"""Costs of the networks in the registry."""

from __future__ import annotations

import torch

from models.measure import Cost, cost_of_network
from models.registry import build_model
from models.spec import ModelSpec


def cost_of(spec: ModelSpec) -> Cost:
    """Count parameters and operations of the network of ``spec`` at ``spec.input``."""
    with torch.device("meta"):
        return cost_of_network(build_model(spec).eval(), spec.input)
