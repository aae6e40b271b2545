"""The inputs of a stream: sources with their sinks, and options."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from models.classes import CAMVID, ClassSet
from pipeline.stream.overlay import OverlayOptions
from pipeline.stream.sinks.base import Sink
from pipeline.stream.sources.base import Source
from pipeline.stream.timing import Tracer


@dataclass(frozen=True)
class StreamInput:
    """One source and the sinks that get its results; the stream closes them."""

    source: Source
    sinks: Sequence[Sink]


@dataclass(frozen=True)
class StreamOptions:
    """How a stream runs.

    Attributes:
        classes: names and palette of the session's class maps.
        frames: end each source after this many shown frames; None for the whole source.
        overlay: how drawn frames look.
        smooth: smooth class maps over three frames.
        depth: frames that may wait between two stages of a file; for a live source it is one.
        progress: show a bar on standard error.
        stop: when set, the stream ends after finishing the frames captured so far.
        trace: gets the times of all work; closed by the caller.
        stalled: seconds after which a write that has not returned counts as a failure.
    """

    classes: ClassSet = CAMVID
    frames: int | None = None
    overlay: OverlayOptions = field(default_factory=OverlayOptions)
    smooth: bool = False
    depth: int = 2
    progress: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    trace: Tracer | None = None
    stalled: float = 30.0
