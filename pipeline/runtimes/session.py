"""The interface of all runtimes: uint8 frames in, uint8 class maps out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EngineError

Frames = NDArray[np.uint8]
ClassMaps = NDArray[np.uint8]
Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Tint:
    """Class colours to blend over frames on a GPU.

    Attributes:
        palette: 256 times blue, green, red.
        opacity: of the colours over the picture, 0..1.
    """

    palette: bytes
    opacity: float


@dataclass(frozen=True)
class TensorSpec:
    """Name, type and shape of an engine's input or output; ``None`` is a free dimension."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    layout: str


@dataclass(frozen=True)
class Capabilities:
    """What a session can do.

    Attributes:
        runtime: name in the session table.
        device: name of the hardware that runs it.
        precision: precision that is *executed* (``fp32``, ``fp16``, ``bf16``, ``int8``), which may
            differ from the one asked for at build.
        in_flight: most runs under way at once; more than one where their work overlaps.
        paints: can blend class colours over the frames on the GPU.
    """

    runtime: str
    device: str
    precision: str
    in_flight: int = 1
    paints: bool = False


@dataclass(frozen=True)
class Segmented:
    """Result of one run.

    Attributes:
        classes: (N, h, w) uint8 at the network's own size, owned by the caller.
        pictures: (N, H, W, 3) uint8 BGR, frames with class colours over them, owned by the caller;
            None unless requested and the session paints.
        device_ms: name of each step on the device -> milliseconds.
    """

    classes: ClassMaps
    pictures: Pictures | None = None
    device_ms: Mapping[str, float] = field(default_factory=dict)


class Pending(ABC):
    """A run under way."""

    @abstractmethod
    def result(self) -> Segmented:
        """Wait until it is done; call this once, in the order in which runs were submitted.

        Raises:
            EngineError: the run failed.
        """


@dataclass(frozen=True)
class Done(Pending):
    """A finished run, of a session that does not run in the background."""

    segmented: Segmented

    def result(self) -> Segmented:
        return self.segmented


class Session(AbstractContextManager["Session"]):
    """A loaded engine. Use as a context manager; usable from one thread at a time."""

    input_spec: TensorSpec
    output_spec: TensorSpec
    capabilities: Capabilities

    @abstractmethod
    def close(self) -> None:
        """Release the engine; calling this again does nothing."""

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, frames: Frames) -> ClassMaps:
        """Segment a batch of frames.

        Args:
            frames: (N, H, W, 3) uint8, BGR, as OpenCV gives them.

        Returns:
            Class maps, (N, h, w) uint8 at the network's own size, owned by the caller.

        Raises:
            EngineError: the array has another type or shape.
        """
        return self._run(_checked(frames))

    def submit(self, frames: Frames, tint: Tint | None = None) -> Pending:
        """Start to segment a batch, without waiting for the result where the session can.

        At most ``capabilities.in_flight`` runs may be under way. The frames may be changed as soon
        as this returns.

        Args:
            frames: as for :meth:`run`, no more than ``input_spec`` allows.
            tint: also blend class colours over the frames, where the session paints.

        Raises:
            EngineError: as :meth:`run`.
        """
        return self._submit(_checked(frames), tint)

    def _submit(self, frames: Frames, tint: Tint | None) -> Pending:
        return Done(Segmented(self._run(frames)))

    @abstractmethod
    def _run(self, frames: Frames) -> ClassMaps:
        """Run on a checked, contiguous batch."""


def _checked(frames: Frames) -> Frames:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise EngineError(
            f"the session was given an array of {frames.dtype} {frames.shape}; "
            "it takes uint8 frames of shape (N, H, W, 3); pass frame[None] for one picture"
        )
    return np.ascontiguousarray(frames)


def filled(frames: Frames, fewest: int) -> Frames:
    """Repeat the last frame until there are ``fewest``, the smallest batch of some engines."""
    lacking = fewest - len(frames)
    return frames if lacking <= 0 else np.concatenate([frames, frames[-1:].repeat(lacking, axis=0)])
