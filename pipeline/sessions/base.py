"""The one interface of every runtime: uint8 frames in, uint8 class maps out."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.closable import Closable
from pipeline.errors import EngineError

Frames = NDArray[np.uint8]
ClassMaps = NDArray[np.uint8]


@dataclass(frozen=True)
class TensorSpec:
    """Name, type and shape of one end of an engine; ``None`` is a dimension free at run time."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    layout: str


@dataclass(frozen=True)
class Capabilities:
    """What a session can do, as data.

    Attributes:
        runtime: name in the session table.
        device: the hardware that runs it, in words.
        precision: precision that is *executed* (``fp32``, ``fp16``, ``bf16``, ``int8``), which may
            differ from the one asked for at build.
        dynamic_frame_size: frames may change their height and width between calls.
    """

    runtime: str
    device: str
    precision: str
    dynamic_frame_size: bool = True


class Session(Closable):
    """A loaded engine. Use as a context manager; usable from one thread at a time."""

    input_spec: TensorSpec
    output_spec: TensorSpec
    capabilities: Capabilities

    def run(self, frames: Frames) -> ClassMaps:
        """Segment a batch of frames.

        Args:
            frames: (N, H, W, 3) uint8, BGR, as OpenCV gives them.

        Returns:
            Class maps, (N, h, w) uint8 at the network's own size, owned by the caller.

        Raises:
            EngineError: the array has another type or shape.
        """
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            raise EngineError(
                f"the session was given an array of {frames.dtype} {frames.shape}; "
                "it takes uint8 frames of shape (N, H, W, 3); pass frame[None] for one picture"
            )
        return self._run(np.ascontiguousarray(frames))

    @abstractmethod
    def _run(self, frames: Frames) -> ClassMaps:
        """Run on a checked, contiguous batch."""


def filled(frames: Frames, fewest: int) -> Frames:
    """Repeat the last frame until there are ``fewest``, for engines that take no smaller batch."""
    lacking = fewest - len(frames)
    return frames if lacking <= 0 else np.concatenate([frames, frames[-1:].repeat(lacking, axis=0)])
