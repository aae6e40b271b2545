"""Bit-identical rewrites of a network that OpenVINO computes faster, or correctly, on a CPU.

A pattern that does not occur changes nothing. Times are of ``segnet_lite`` INT8 at 480x360 on two
cores (docs/performance.md has the profiles).

OpenVINO itself is an argument, ``ov``, since only ``core`` imports it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipeline.runtimes.openvino.enlarged_scores import classes_of_enlarged, factor_of
from pipeline.runtimes.openvino.patterns import (
    constant_input,
    pair_that_begins_with,
    pair_that_ends_in,
)
from pipeline.runtimes.openvino.signed_bytes import round_in_one_step


def rewrite(ov: Any, model: Any) -> None:
    """Apply all rewrites to an ``ov.Model`` in place."""
    for operation in list(model.get_ordered_ops()):
        if operation.get_type_name() == "TopK":
            _argmax_over_planes(ov.opset13, operation)
    for operation in list(model.get_ordered_ops()):
        if operation.get_type_name() == "Slice":
            _slice_both_axes_at_once(ov.opset13, operation)
    for operation in list(model.get_ordered_ops()):
        if operation.get_type_name() == "MaxPool":
            _largest_of_phases(ov.opset13, operation)
            _quantise_once(operation)
    for operation in list(model.get_ordered_ops()):
        if operation.get_type_name() == "Multiply":
            round_in_one_step(ov.opset13, operation)
    model.validate_nodes_and_infer_types()


def _largest_of_phases(op: Any, pool: Any) -> None:
    """Compute a pooling from its four phases where comparisons already read three of them.

    With one more slice, pooling fuses with the comparisons and with the quantisation after it.
    """
    phases: dict[tuple[int, ...], Any] = {}
    bounds = None
    for reader in (one.get_node() for one in pool.output(0).get_target_inputs()):
        if reader.get_type_name() != "GreaterEqual":
            continue
        phase = _input(reader, 0)
        if phase.get_type_name() != "Slice" or phase.input_value(0) != pool.input_value(0):
            return
        start, stop, step, axes = _slice_of(phase) or [np.empty(0)] * 4
        if step.tolist() != [2, 2]:
            return
        bounds = stop, step, axes
        phases[tuple(start[np.argsort(axes)].tolist())] = reader.input_value(0)
    if bounds is None or set(phases) != {(0, 0), (0, 1), (1, 0)}:
        return
    stop, step, axes = (op.constant(values) for values in bounds)
    last = op.slice(pool.input_value(0), op.constant(np.array([1, 1])), stop, step, axes)
    upper, lower = op.maximum(phases[0, 0], phases[0, 1]), op.maximum(phases[1, 0], last)
    _replace(pool.output(0), op.maximum(upper, lower))


def _quantise_once(pool: Any) -> None:
    """Remove a Q/DQ pair after a pooling that has the same pair before it.

    The maximum of values rounded to bytes is one of them. TensorRT needs both pairs.
    """
    before = pair_that_ends_in(pool.input_value(0).get_node())
    if before is None:
        return
    for reader in (one.get_node() for one in pool.output(0).get_target_inputs()):
        behind = pair_that_begins_with(reader)
        if behind is not None and _same_constants(before, behind):
            for user in list(behind[-1].output(0).get_target_inputs()):
                user.replace_source_output(pool.output(0))


def _same_constants(one: list[Any], other: list[Any]) -> bool:
    """Whether two pairs round alike: same byte type, scale and zero point."""
    types = [pair[1].get_output_element_type(0) for pair in (one, other)]
    return types[0] == types[1] and all(
        _constants(a) == _constants(b) for a, b in zip(one, other, strict=True)
    )


def _constants(operation: Any) -> list[list[float]]:
    """All inputs but the first if they are constants or converted from one; else NaN."""
    given = (constant_input(operation, place) for place in range(1, operation.get_input_size()))
    return [[math.nan] if one is None else one.reshape(-1).tolist() for one in given]


def _argmax_over_planes(op: Any, top: Any) -> None:
    """Choose the class of each pixel plane by plane: TopK 9 ms -> reorder and TopK 1.5 ms.

    With channels last, TopK sorts eleven neighbours per pixel; over (N, C, pixels) it compares
    whole rows of pixels at once. Flattening forces OpenVINO to use that layout.
    """
    scores = top.input_value(0)
    shape = scores.get_partial_shape()
    wanted = top.get_attributes()
    if (
        shape.rank.get_length() != 4
        or any(shape[axis].is_dynamic for axis in (1, 2, 3))
        or wanted["axis"] != 1
        or wanted["mode"] != "max"
        or not _is_constant(_input(top, 1), [1])
        or top.output(0).get_target_inputs()
    ):
        return
    kind = top.output(1).get_element_type().get_type_name()
    resize = scores.get_node()
    if factor := factor_of(resize):
        classes = classes_of_enlarged(op, resize.input_value(0), factor)
        _replace(top.output(1), op.convert(classes, kind))
        return
    c, h, w = (shape[axis].get_length() for axis in (1, 2, 3))
    flat = op.reshape(scores, _ints(op, 0, c, h * w), special_zero=True)
    best = op.topk(flat, op.constant(np.int64(1)), 1, "max", wanted["sort"], kind, stable=True)
    _replace(top.output(1), op.reshape(best.output(1), _ints(op, 0, 1, h, w), special_zero=True))


def _slice_both_axes_at_once(op: Any, outer: Any) -> None:
    """Take every second row and column in one copy: PyTorch exports a slice per axis."""
    inner = _input(outer, 0)
    if inner.get_type_name() != "Slice":
        return
    first, second = _slice_of(inner), _slice_of(outer)
    if first is None or second is None or set(first[3].tolist()) & set(second[3].tolist()):
        return
    start, stop, step, axes = (
        op.constant(np.concatenate(pair)) for pair in zip(first, second, strict=True)
    )
    _replace(outer.output(0), op.slice(inner.input_value(0), start, stop, step, axes))


def _slice_of(operation: Any) -> list[Any] | None:
    """Starts, stops, steps and axes of a slice if they are constants."""
    if operation.get_input_size() != 5:
        return None
    given = [_input(operation, place) for place in range(1, 5)]
    if any(one.get_type_name() != "Constant" for one in given):
        return None
    return [one.get_data().reshape(-1).astype(np.int64) for one in given]


def _is_constant(operation: Any, values: Any) -> bool:
    """Whether it is a constant with these values, ignoring singleton axes."""
    if operation.get_type_name() != "Constant":
        return False
    held, wanted = operation.get_data(), np.asarray(values)
    return held.size == wanted.size and bool((held.reshape(-1) == wanted.reshape(-1)).all())


def _input(operation: Any, place: int) -> Any:
    return operation.input_value(place).get_node()


def _ints(op: Any, *values: int) -> Any:
    return op.constant(np.array(values, np.int64))


def _replace(output: Any, by: Any) -> None:
    """Connect all readers of ``output`` to the first output of ``by``, under the old name."""
    by.set_friendly_name(output.get_node().get_friendly_name())
    for reader in list(output.get_target_inputs()):
        reader.replace_source_output(by.output(0))
