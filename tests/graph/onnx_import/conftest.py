"""Fixtures for networks from ONNX files."""

from __future__ import annotations

import pytest
from foreign_networks import SmallNet, made
from torch import nn


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """A small network as other people would write it."""
    return made(SmallNet)
