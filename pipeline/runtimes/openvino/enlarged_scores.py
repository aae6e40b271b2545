"""The class of each pixel from scores that are enlarged first, in fewer passes over memory.

Bilinear enlargement by an even factor f mixes the same four neighbours for f x f pixels, with f x f
pairs of weights. Instead of enlarging, transposing to planes and comparing, the classes of all
phases are computed side by side as planes, and bytes are rearranged at the end. The weights are the
same, but the last bit of a sum may be rounded differently, so classes could differ where two scores
agree to seven digits (none of 17 million pixels of CamVid did).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.runtimes.openvino.patterns import is_bilinear


def factor_of(resize: Any) -> int:
    """Return f if a node enlarges height and width bilinearly by an even f, else 0.

    Args:
        resize: an ``ov.Node`` that makes (N, C, f * H, f * W).
    """
    if resize.get_type_name() != "Interpolate" or len(resize.output(0).get_target_inputs()) != 1:
        return 0
    small, large = resize.input_value(0).get_partial_shape(), resize.get_output_partial_shape(0)
    if (
        not is_bilinear(resize)
        or small.rank.get_length() != 4
        or any(small[axis].is_dynamic or large[axis].is_dynamic for axis in (1, 2, 3))
        or small[1] != large[1]
    ):
        return 0
    (factor, rest), across = (
        divmod(large[axis].get_length(), small[axis].get_length()) for axis in (2, 3)
    )
    return factor if rest == 0 and across == (factor, 0) and factor % 2 == 0 else 0


def classes_of_enlarged(op: Any, scores: Any, factor: int) -> Any:
    """Return a node of (N, 1, f * H, f * W) bytes: the first arg-max of the enlarged scores.

    Args:
        op: OpenVINO's operator set.
        scores: output of a node, (N, C, H, W) FP32, before the enlargement.
        factor: f, from :func:`factor_of`.
    """
    shape = scores.get_partial_shape()
    channels, height, width = (shape[axis].get_length() for axis in (1, 2, 3))
    # A border on each side repeats the edge pixels. Rows are contiguous in memory, so the neighbour
    # below is one row further on and the one to the right one value further; the wrong results in
    # the last column are cut off. An extra row keeps reads beyond the end valid.
    border = (_ints(op, 0, 0, 1, 1), _ints(op, 0, 0, 2, 1))
    rows, columns = height + 1, width + 2
    flat = op.reshape(
        op.pad(scores, *border, "edge"),
        _ints(op, 0, channels, 1, (rows + 2) * columns),
        special_zero=True,
    )
    # Position of phase k between the previous neighbour (0) and the next (1).
    way = op.constant(((np.arange(factor, dtype=np.float32) + 0.5) / factor).reshape(1, 1, -1, 1))
    between_rows = _mixed(op, flat, columns, (rows + 1) * columns, way)
    phases = channels * factor
    shaped = _ints(op, 0, phases, 1, (rows + 1) * columns)
    between_rows = op.reshape(between_rows, shaped, special_zero=True)
    mixed = _mixed(op, between_rows, 1, rows * columns, way)
    planes = op.reshape(
        mixed, _ints(op, 0, channels, factor * factor * rows * columns), special_zero=True
    )
    best = op.topk(planes, op.constant(np.int64(1)), 1, "max", "value", "i32", stable=True)
    found = op.reshape(
        best.output(1), _ints(op, 0, factor * factor, rows, columns), special_zero=True
    )
    pixels = op.depth_to_space(op.convert(found, "u8"), "blocks_first", factor)
    half = factor // 2
    first, last = _ints(op, half, half), _ints(op, half + height * factor, half + width * factor)
    return op.slice(pixels, first, last, _ints(op, 1, 1), _ints(op, 2, 3))


def _mixed(op: Any, values: Any, step: int, count: int, way: Any) -> Any:
    """(N, C, 1, L) -> (N, C, f, count): from each value, ``way`` towards the one ``step`` on."""
    here, there = (
        op.slice(values, _ints(op, first), _ints(op, first + count), _ints(op, 1), _ints(op, 3))
        for first in (0, step)
    )
    return op.add(here, op.multiply(op.subtract(there, here), way))


def _ints(op: Any, *values: int) -> Any:
    return op.constant(np.array(values, np.int64))
