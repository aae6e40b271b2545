"""ONNX operators as PyTorch functions, by name."""

from __future__ import annotations

from pipeline.foreign.call import Operator
from pipeline.foreign.operators import arithmetic, layers, resize, shapes

OPERATORS: dict[str, Operator] = {
    **arithmetic.OPERATORS,
    **layers.OPERATORS,
    **resize.OPERATORS,
    **shapes.OPERATORS,
}

__all__ = ["OPERATORS"]
