"""ONNX operators as PyTorch functions, by name."""

from __future__ import annotations

from pipeline.graph.onnx_import.call import Operator
from pipeline.graph.onnx_import.operators import (
    arithmetic,
    gathering,
    layers,
    resize,
    shapes,
    unpooling,
)

OPERATORS: dict[str, Operator] = {
    **arithmetic.OPERATORS,
    **gathering.OPERATORS,
    **layers.OPERATORS,
    **resize.OPERATORS,
    **shapes.OPERATORS,
    **unpooling.OPERATORS,
}

__all__ = ["OPERATORS"]
