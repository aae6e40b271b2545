"""The frame's resize in OpenCV: the same floats as OpenVINO's, in a fifth of the time.

An engine file contains the whole deployment graph. OpenVINO resizes frames of any size in separate
passes over memory: to floats, to planes, to blocks, and back. OpenCV's resize of floats computes
the same sums, so a session removes these operators and passes in their result instead
(docs/performance.md). OpenVINO's positions can be off in the last bits (0.02 grey levels at
1000x700, none at 480x360 and 960x540), OpenCV's are not.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.runtimes.openvino.patterns import is_bilinear
from pipeline.runtimes.session import Frames

#: First operators of a deployment graph, from the frames on.
_BEGINNING = ("Convert", "Transpose", "Interpolate")
_CHANNELS_FIRST = [0, 3, 1, 2]

#: Form of the networks of :func:`without_resize`; part of the cache key of compiled engines.
FORM = "frames of the network's size, FP32"


def without_resize(ov: Any, model: Any) -> Any:
    """Return a network that begins after the resize of its frames, or the same if it has none.

    Args:
        ov: OpenVINO.
        model: an ``ov.Model`` that takes (N, H, W, 3) uint8 frames.

    Returns:
        An ``ov.Model`` that takes (N, h, w, 3) FP32, see :class:`FrameResize`.
    """
    op = ov.opset13
    found = _beginning(model)
    if found is None:
        return model
    *_, transpose, resize = found
    _, channels, height, width = resize.get_output_partial_shape(0)
    (frames,) = model.get_parameters()
    given = op.parameter(
        ov.PartialShape([frames.get_output_partial_shape(0)[0], height, width, channels]),
        np.float32,
        name=frames.get_friendly_name(),
    )
    given.output(0).set_names(frames.output(0).get_names())
    planes = op.transpose(given, transpose.input_value(1))
    for reader in list(resize.output(0).get_target_inputs()):
        reader.replace_source_output(planes.output(0))
    return ov.Model(model.get_results(), [given], model.get_friendly_name())


def resizes_outside(model: Any) -> bool:
    """Whether a compiled network comes from :func:`without_resize`."""
    return bool(model.input(0).get_element_type().get_type_name() == "f32")


class FrameResize:
    """Bilinear with half-pixel centres, without rounding.

    Args:
        size: (height, width) of the network.
        most: maximum number of frames at once.
    """

    def __init__(self, size: tuple[int, int], most: int) -> None:
        self._resized = np.empty((most, *size, 3), np.float32)
        # Reused: allocating fresh pages would take as long as the computation.
        self._floats = np.empty((0, 0, 3), np.float32)

    def __call__(self, frames: Frames) -> NDArray[np.float32]:
        """Turn (N, H, W, 3) uint8 into (N, h, w, 3) FP32, a view that the next call overwrites.

        Raises:
            cv2.error: OpenCV cannot resize frames of that size.
        """
        resized = self._resized[: len(frames)]
        if frames.shape[1:] == resized.shape[1:]:
            np.copyto(resized, frames)
            return resized
        if self._floats.shape != frames.shape[1:]:
            self._floats = np.empty(frames.shape[1:], np.float32)
        _, height, width, _ = resized.shape
        for frame, target in zip(frames, resized, strict=True):
            np.copyto(self._floats, frame)
            cv2.resize(self._floats, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)
        return resized


def _beginning(model: Any) -> list[Any] | None:
    """The operators from the frames to the resize, if nothing else reads their outputs."""
    if len(model.get_parameters()) != 1:
        return None
    operation = model.get_parameters()[0]
    found = []
    for kind in _BEGINNING:
        readers = operation.output(0).get_target_inputs()
        if len(readers) != 1:
            return None
        operation = next(iter(readers)).get_node()
        if operation.get_type_name() != kind:
            return None
        found.append(operation)
    convert, transpose, resize = found
    order = transpose.input_value(1).get_node()
    fits = (
        model.input(0).get_element_type().get_type_name() == "u8"
        and convert.get_output_element_type(0).get_type_name() == "f32"
        and order.get_type_name() == "Constant"
        and order.get_data().tolist() == _CHANNELS_FIRST
        and is_bilinear(resize)
        and all(resize.get_output_partial_shape(0)[axis].is_static for axis in (1, 2, 3))
    )
    return found if fits else None
