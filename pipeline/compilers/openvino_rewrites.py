"""Parts of a network in forms that OpenVINO computes faster on a CPU, to the same bits.

What is found in no network stays as it is. Times are of ``segnet_lite`` INT8 at 480x360 on two
cores (docs/performance.md has the profiles).

OpenVINO itself comes as an argument, ``ov``: it is imported in ``pipeline.compilers.openvino``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: Phase of each pixel of a 2x2 window, over (N, h, 2, w, 2, C).
_PATTERN = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 1, 2, 1)


def rewrite(ov: Any, model: Any) -> None:
    """Apply all of them to an ``ov.Model`` in place."""
    for operation in list(model.get_ordered_ops()):
        kind = operation.get_type_name()
        if kind == "Select":
            _spread_by_broadcast(ov.opset13, operation)
        elif kind == "TopK":
            _argmax_over_planes(ov.opset13, operation)
    for operation in list(model.get_ordered_ops()):
        if operation.get_type_name() == "Slice":
            _slice_both_axes_at_once(ov.opset13, operation)
    model.validate_nodes_and_infer_types()


def _spread_by_broadcast(op: Any, select: Any) -> None:
    """Unpool without enlarging first.

    ``where(nearest(phase) == pattern, nearest(value), 0)`` writes and reads two planes of the full
    size that hold everything four times. Channels last, which is how OpenVINO keeps them anyway,
    the same is one comparison that broadcasts (N, h, 1, w, 1, C) over a 2x2 pattern; its result
    *is* the enlarged tensor, and quantising it fuses into the same kernel.
    """
    equal, value = _input(select, 0), _input(select, 1)
    if equal.get_type_name() != "Equal" or not _is_constant(_input(select, 2), [0.0]):
        return
    phase, pattern = _input(equal, 0), _input(equal, 1)
    if not (_doubles(phase) and _doubles(value) and pattern.get_type_name() == "Constant"):
        return
    shape = value.input_value(0).get_partial_shape()
    channels, height, width = (shape[axis] for axis in (1, 2, 3))
    if channels.is_dynamic or height.is_dynamic or width.is_dynamic:
        return
    c, h, w = channels.get_length(), height.get_length(), width.get_length()
    if not _is_constant(pattern, np.tile(_PATTERN.reshape(2, 2), (h, w))):
        return

    def windows(small: Any) -> Any:
        last = op.transpose(small, _ints(op, 0, 2, 3, 1))
        return op.reshape(last, _ints(op, 0, h, 1, w, 1, c), special_zero=True)

    kept = op.equal(windows(phase.input_value(0)), op.constant(_PATTERN))
    spread = op.select(kept, windows(value.input_value(0)), op.constant(np.float32(0)))
    enlarged = op.reshape(spread, _ints(op, 0, 2 * h, 2 * w, c), special_zero=True)
    _replace(select.output(0), op.transpose(enlarged, _ints(op, 0, 3, 1, 2)))


def _argmax_over_planes(op: Any, top: Any) -> None:
    """Choose the class of each pixel plane by plane: TopK 9 ms -> reorder and TopK 1.5 ms.

    Channels last, TopK sorts eleven neighbours per pixel; over (N, C, pixels) it compares whole
    rows of pixels at once. Flattened, OpenVINO has to give it that layout.
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
    c, h, w = (shape[axis].get_length() for axis in (1, 2, 3))
    flat = op.reshape(scores, _ints(op, 0, c, h * w), special_zero=True)
    kind = top.output(1).get_element_type().get_type_name()
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
    """Starts, stops, steps and axes of a slice that has them as constants."""
    if operation.get_input_size() != 5:
        return None
    given = [_input(operation, place) for place in range(1, 5)]
    if any(one.get_type_name() != "Constant" for one in given):
        return None
    return [one.get_data().reshape(-1).astype(np.int64) for one in given]


def _doubles(operation: Any) -> bool:
    """Whether it enlarges both sides twice by nearest neighbour."""
    if operation.get_type_name() != "Interpolate":
        return False
    wanted = operation.get_attributes()
    before = operation.input_value(0).get_partial_shape()
    after = operation.get_output_partial_shape(0)
    return (
        wanted["mode"] == "nearest"
        and wanted["coordinate_transformation_mode"] == "asymmetric"
        and before.rank.get_length() == 4
        and all(
            before[axis].is_static
            and after[axis].is_static
            and after[axis].get_length() == 2 * before[axis].get_length()
            for axis in (2, 3)
        )
        and str(operation.get_output_element_type(0)) == "<Type: 'float32'>"
    )


def _is_constant(operation: Any, values: Any) -> bool:
    """Whether it is a constant of these values, whatever singleton axes stand before them."""
    if operation.get_type_name() != "Constant":
        return False
    held, wanted = operation.get_data(), np.asarray(values)
    return held.size == wanted.size and bool((held.reshape(-1) == wanted.reshape(-1)).all())


def _input(operation: Any, place: int) -> Any:
    return operation.input_value(place).get_node()


def _ints(op: Any, *values: int) -> Any:
    return op.constant(np.array(values, np.int64))


def _replace(output: Any, by: Any) -> None:
    """Let everybody who reads ``output`` read the first output of ``by``, under the old name."""
    by.set_friendly_name(output.get_node().get_friendly_name())
    for reader in list(output.get_target_inputs()):
        reader.replace_source_output(by.output(0))
