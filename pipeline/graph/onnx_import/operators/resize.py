"""Resizing, in all modes that ONNX has.

Each mode is a matrix per direction: row i holds the weights of the input positions that output
position i is made of. Where a mode of ``F.interpolate`` has the same matrices it is used, else the
matrices themselves. So it does not matter that ONNX and PyTorch name their modes differently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipeline.graph.onnx_import.call import Call, Operator

Matrix = NDArray[np.float64]

#: Modes of ``F.interpolate`` with ``align_corners``; those that placement knows come first.
_KNOWN: tuple[tuple[str, bool | None], ...] = (
    ("nearest", None),
    ("bilinear", False),
    ("bilinear", True),
    ("bicubic", False),
    ("bicubic", True),
    ("nearest-exact", None),
)
_NEAREST: dict[str, Callable[[Matrix], Matrix]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
}


def resize_matrix(size: int, result: int, scale: float, how: dict[str, Any]) -> Matrix:
    """Return the matrix that resizes a row.

    Args:
        size: positions before.
        result: positions after.
        scale: given in the file; ``result / size`` where the file gives sizes.
        how: attributes of the operator Resize.

    Returns:
        (result, size), rows sum to 1.

    Raises:
        ValueError: an unknown mode, or one that crops.
    """
    x = _sources(size, result, scale, how.get("coordinate_transformation_mode", "half_pixel"))
    matrix = np.zeros((result, size))
    rows = np.arange(result)
    mode = how.get("mode", "nearest")
    if mode == "nearest":
        found = _NEAREST[how.get("nearest_mode", "round_prefer_floor")](x)
        matrix[rows, np.clip(found, 0, size - 1).astype(int)] = 1
        return matrix
    first = np.floor(x)
    if mode == "linear":
        taps = {0: 1 - (x - first), 1: x - first}
    elif mode == "cubic":
        taps = _cubic(x - first, how.get("cubic_coeff_a", -0.75))
    else:
        raise ValueError(f"mode {mode}")
    for tap, share in taps.items():
        inside = (first + tap >= 0) & (first + tap < size)
        kept = np.where(inside, share, 0) if how.get("exclude_outside", 0) else share
        np.add.at(matrix, (rows, np.clip(first + tap, 0, size - 1).astype(int)), kept)
    shares: Matrix = matrix / matrix.sum(1, keepdims=True)
    return shares


def _sources(size: int, result: int, scale: float, mode: str) -> Matrix:
    """Return where each position comes from, as a position of the input, not rounded."""
    i = np.arange(result, dtype=np.float64)
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and result > 1):
        return (i + 0.5) / scale - 0.5
    if mode == "align_corners" and result > 1:
        return i * (size - 1) / (result - 1)
    if mode in {"pytorch_half_pixel", "align_corners"}:
        return i
    if mode == "asymmetric":
        return i / scale
    if mode == "tf_half_pixel_for_nn":
        return (i + 0.5) / scale
    if mode == "half_pixel_symmetric":
        return size / 2 * (1 - result / (scale * size)) + (i + 0.5) / scale - 0.5
    raise ValueError(f"coordinate transformation {mode}")


def _cubic(ratio: Matrix, a: float) -> dict[int, Matrix]:
    """Shares of the four neighbours (Keys 1981)."""

    def near(d: Matrix) -> Matrix:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Matrix) -> Matrix:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return {-1: far(ratio + 1), 0: near(ratio), 1: near(1 - ratio), 2: far(2 - ratio)}


def _resize(call: Call) -> Any:
    how = {attribute.name: call.attribute(attribute.name) for attribute in call.node.attribute}
    if call.opset < 11:  # Upsample, and the first Resize
        how |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    sizes, scales = _sizes_and_scales(call, how)
    shape = list(call.x.shape)
    if len(shape) != 4 or sizes[:2] != shape[:2]:
        raise call.refused(f"it resizes {tuple(shape)} to {tuple(sizes)}", "a change of H and W")
    if how.get("antialias", 0) and min(scales[2:]) < 1:
        raise call.refused("it smooths while shrinking (antialias)", "antialias = 0")
    try:
        matrices = [resize_matrix(shape[i], sizes[i], scales[i], how) for i in (2, 3)]
    except (KeyError, ValueError) as error:
        raise call.refused(f"it resizes with {error}", "a mode without crops") from error
    return _applied(call.x, *(torch.from_numpy(matrix).float() for matrix in matrices))


def _sizes_and_scales(call: Call, how: dict[str, Any]) -> tuple[list[int], list[float]]:
    shape = list(call.x.shape)
    if how.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise call.refused("it keeps the aspect ratio", "keep_aspect_ratio_policy = stretch")
    axes = [axis % len(shape) for axis in how.get("axes") or range(len(shape))]
    given_scales = call.numbers(2 if call.opset >= 11 else 1, "scales")
    given_sizes = call.numbers(3) if call.opset >= 11 else None
    sizes, scales = list(shape), [1.0] * len(shape)
    for index, axis in enumerate(axes):
        if given_sizes:
            sizes[axis] = int(given_sizes[index])
            scales[axis] = sizes[axis] / shape[axis]
        elif given_scales:
            scales[axis] = given_scales[index]
            # Scales are stored in FP32: 7 * float32(10 / 7) is a little less than 10.
            sizes[axis] = int(np.floor(np.float32(shape[axis]) * np.float32(scales[axis])))
    return sizes, scales


def _applied(x: Any, rows: Tensor, columns: Tensor) -> Any:
    if all(matrix.shape[0] == matrix.shape[1] and _is_eye(matrix) for matrix in (rows, columns)):
        return x
    for mode, corners in _KNOWN:
        if all(_alike(matrix, mode, corners) for matrix in (rows, columns)):
            size = (len(rows), len(columns))
            return F.interpolate(x, size=size, mode=mode, align_corners=corners)
    x = F.linear(x, columns)
    return torch.permute(F.linear(torch.permute(x, [0, 1, 3, 2]), rows), [0, 1, 3, 2])


def _is_eye(matrix: Tensor) -> bool:
    return torch.equal(matrix, torch.eye(len(matrix)))


def _alike(matrix: Tensor, mode: str, corners: bool | None) -> bool:
    """Whether a mode of ``F.interpolate`` is this matrix along one direction."""
    result, size = matrix.shape
    columns = torch.eye(size)[None, :, :, None]
    found = F.interpolate(columns, size=(result, 1), mode=mode, align_corners=corners)
    return torch.allclose(found[0, :, :, 0].T, matrix, rtol=0, atol=1e-4)


OPERATORS: dict[str, Operator] = {"Resize": _resize, "Upsample": _resize}
