"""The code of the workers, independent of Ray: planning, decoding and segmenting.

Decoding passes frames on in chunks, so that a segment need not fit into memory; a session reads
them directly from the memory that the processes share.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa

from models.classes import ClassSet
from pipeline.engine.manifest import load_engine
from pipeline.errors import RoadsegError, in_words
from pipeline.runtimes.null import NullSession
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.session import ClassMaps, Frames, Session
from pipeline.stream.archive import places
from pipeline.stream.archive.chunks import FRAMES, RESULTS, keys_of, one_row
from pipeline.stream.archive.decoding import SeamError, Seams, Segment, SegmentFrames
from pipeline.stream.archive.overlay_pieces import encode_piece
from pipeline.stream.archive.plan import SEGMENT_FRAMES, Plan, plan_video
from pipeline.stream.frame import Frame
from pipeline.stream.overlay import Overlay, class_shares
from pipeline.stream.palettes import drawn_classes
from pipeline.stream.sinks.base import MediaTime
from pipeline.stream.sinks.statistics import rounded_seconds, rounded_shares
from pipeline.stream.sources import SourceOptions, open_source

#: Bytes of a chunk's frames: little compared with a worker's memory, much with a row's overhead.
_CHUNK_BYTES = 32 << 20
_CHUNK_FRAMES = 64
#: Sources that are planned at once; reading is the limit.
_PLANNERS = 4


@dataclass(frozen=True)
class Work:
    """Options for the workers.

    Attributes:
        engine: path of the engine, readable on every node; None for ``NullSession``.
        classes: of the engine.
        every: process every N-th frame.
        masks, overlay: results beside the shares.
        least: smallest number of frames of a segment.
    """

    engine: Path | None
    classes: ClassSet
    every: int = 1
    masks: bool = False
    overlay: bool = False
    least: int = SEGMENT_FRAMES


def plan(source: str, work: Work) -> dict[str, Any]:
    """Plan one source; return ``{"plan": JSON}``, or ``{"failed": REASON}``."""
    try:
        found = places.fingerprint(source)
        with places.local(source) as path:
            return {"plan": json.dumps(plan_video(path, source, found, work.least).to_json())}
    except RoadsegError as error:
        return {"failed": in_words(error)}


def planned_here(sources: Sequence[str], work: Work) -> Iterator[tuple[str, dict[str, Any]]]:
    """Plan sources in threads of this process, in order; FFmpeg releases Python's lock."""
    with ThreadPoolExecutor(_PLANNERS) as pool:
        yield from zip(sources, pool.map(lambda one: plan(one, work), sources), strict=True)


def decode(given: Plan, segment: Segment, work: Work) -> Iterator[pa.Table]:
    """Decode a segment into chunks, tables of one row; a failure is reported in the last one."""
    ending: dict[str, Any] = {"problems": []}
    seams = Seams()
    chunk = _Chunk(given, segment)
    try:
        with ExitStack() as stack:
            if segment.count is None:
                path = stack.enter_context(places.local(given.source))
                source = stack.enter_context(
                    open_source(str(path), SourceOptions(every=work.every))
                )
                frames: Iterator[Frame] = iter(source.read, None)
                clock = MediaTime(source.fps)
            else:
                file = stack.enter_context(places.opened(given.source))
                frames = iter(SegmentFrames(file, segment, work.every, seams))
                clock = MediaTime(given.fps)
            for frame in frames:
                if chunk.is_full_for(frame):
                    yield chunk.emptied()
                chunk.add(frame, rounded_seconds(clock.seconds(frame)))
            if segment.count is None:
                ending["problems"] = [
                    line.replace(source.name, _shown(given.source)) for line in source.problems
                ]
    except (SeamError, av.FFmpegError) as error:
        ending["torn"] = _shown(str(error))
    except (RoadsegError, OSError) as error:
        ending["failed"] = _shown(in_words(error))
    yield chunk.emptied(last=True, entry=seams.entry, exit=seams.exit, **ending)


def _shown(text: str) -> str:
    """Return text for people; bytes of names that are not UTF-8 are replaced."""
    return os.fsencode(text).decode(errors="replace")


class _Chunk:
    """Collects frames for a chunk."""

    def __init__(self, given: Plan, segment: Segment) -> None:
        self._keys = {
            "source": os.fsencode(given.source),
            "first": segment.first,
            "rate": given.fps,
        }
        self._number = 0
        self._frames: list[Frame] = []
        self._seconds: list[float] = []

    def is_full_for(self, frame: Frame) -> bool:
        if not self._frames:
            return False
        most = max(1, min(_CHUNK_FRAMES, _CHUNK_BYTES // frame.image.nbytes))
        return len(self._frames) >= most or self._frames[0].image.shape != frame.image.shape

    def add(self, frame: Frame, seconds: float) -> None:
        self._frames.append(frame)
        self._seconds.append(seconds)

    def emptied(self, last: bool = False, **ending: Any) -> pa.Table:
        frames = self._frames
        height, width = frames[0].image.shape[:2] if frames else (0, 0)
        row = {
            **self._keys,
            "chunk": self._number,
            "last": last,
            "index": [frame.index for frame in frames],
            "name": [frame.name for frame in frames],
            "seconds": self._seconds,
            "height": height,
            "width": width,
            "frames": b"".join(frame.image.data for frame in frames),
            **ending,
        }
        self._number += 1
        self._frames, self._seconds = [], []
        return one_row(row, FRAMES)


class Segmenter:
    """Segments chunks with a session that is loaded once."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._session = _session(work)
        self._overlay = Overlay(drawn_classes(work.classes)) if work.overlay else None

    def __call__(self, table: pa.Table) -> Iterator[pa.Table]:
        """Segment the chunks of a table; a failure is put into the chunk's row."""
        for row in range(table.num_rows):
            # Without ``frames``, which to_pylist would copy.
            small = table.drop_columns(["frames"]).slice(row, 1).to_pylist()[0]
            result = keys_of(small)
            if small["index"]:
                try:
                    result |= self._segmented(table["frames"][row].as_buffer(), small)
                except RoadsegError as error:
                    result["failed"] = in_words(error)
            yield one_row(result, RESULTS)

    def _segmented(self, buffer: Any, row: dict[str, Any]) -> dict[str, Any]:
        shape = (len(row["index"]), row["height"], row["width"], 3)
        frames = np.frombuffer(buffer, np.uint8).reshape(shape)
        maps = self._maps(frames)
        shares = [class_shares(one, len(self._work.classes)) for one in maps]
        result: dict[str, Any] = {
            "shares": [share for one in shares for share in rounded_shares(one)]
        }
        if self._work.masks:
            result["masks"] = [cv2.imencode(".png", one)[1].tobytes() for one in maps]
        if self._overlay is not None:
            drawn = [
                self._overlay.draw(frame, classes, share, "")
                for frame, classes, share in zip(frames, maps, shares, strict=True)
            ]
            result["overlay"] = encode_piece(drawn, row["seconds"], row["rate"])
        return result

    def _maps(self, frames: Frames) -> ClassMaps:
        at_once = self._session.input_spec.shape[0] or len(frames)
        parts = [
            self._session.run(frames[first : first + at_once])
            for first in range(0, len(frames), at_once)
        ]
        return np.concatenate(parts)


def _session(work: Work) -> Session:
    """Open a session with one thread, since there are as many sessions as cores."""
    if work.engine is None:
        return NullSession()
    return open_session(load_engine(work.engine), threads=1)
