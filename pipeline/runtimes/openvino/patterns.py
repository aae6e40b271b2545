"""Groups of operators that the rewrites look for in an ``ov.Model``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Quantise, then dequantise, as OpenVINO reads it from ONNX.
_PAIR = ("FakeQuantize", "Convert", "Convert", "Subtract", "Multiply")


def pair_that_ends_in(operation: Any) -> list[Any] | None:
    """Return the operators of a Q/DQ pair in order; None if it is not one."""
    found = [operation]
    while len(found) < len(_PAIR) and found[0].get_input_size():
        found.insert(0, found[0].input_value(0).get_node())
    return _checked(found)


def pair_that_begins_with(operation: Any) -> list[Any] | None:
    """Return the operators of a Q/DQ pair without other readers in between; None for others."""
    found = [operation]
    while len(found) < len(_PAIR):
        readers = found[-1].output(0).get_target_inputs()
        if len(readers) != 1:
            return None
        found.append(next(iter(readers)).get_node())
    return _checked(found)


def _checked(operations: list[Any]) -> list[Any] | None:
    kinds = tuple(one.get_type_name() for one in operations)
    return operations if kinds == _PAIR else None


def constant_input(operation: Any, place: int) -> NDArray[Any] | None:
    """Return an input's values if it is a constant or converted from one; else None."""
    given = operation.input_value(place).get_node()
    given = given.input_value(0).get_node() if given.get_type_name() == "Convert" else given
    if given.get_type_name() != "Constant":
        return None
    values: NDArray[Any] = given.get_data()
    return values


def is_bilinear(resize: Any) -> bool:
    """Whether an ``Interpolate`` is bilinear with half-pixel centres, without antialias or pads."""
    how = resize.get_attributes()
    return bool(
        how["mode"] in {"linear", "linear_onnx"}
        and how["coordinate_transformation_mode"] == "half_pixel"
        and not how["antialias"]
        and not np.any(how["pads_begin"])
        and not np.any(how["pads_end"])
    )
