"""Cuts a video at key frames into segments that can be decoded separately.

A segment holds the frames *shown* from its key frame up to the next one. With open GOPs, the frames
shown just before a key frame come after it in the file and depend on both sides. So a segment is
decoded up to and including the next key frame, and frames shown before its own are left out.

A frame's number is the rank of its time in the file, so it is the same for every worker. If the
times do not allow that, the video is one segment and is read as ``run`` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from calibration.scenes.containers import file_options
from calibration.scenes.video_file import library_path
from pipeline.stream.archive.decoding import Segment, SegmentFrames
from pipeline.stream.frame import Frame
from pipeline.stream.sources import open_source

#: Smallest number of frames of a segment, about ten seconds.
SEGMENT_FRAMES = 256


@dataclass(frozen=True)
class Plan:
    """The segments of a source.

    Attributes:
        source: its path or address.
        fingerprint: changes with the file, see ``places.fingerprint``.
        fps: its rate, None where it states none.
        frames: their number; an estimate or None for a source that is not cut.
        segments: in order, without gaps or overlaps.
        whole: why it is not cut; None if it is.
    """

    source: str
    fingerprint: str
    fps: float | None
    frames: int | None
    segments: tuple[Segment, ...]
    whole: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Plan:
        """Read what ``to_json`` gave."""
        segments = tuple(Segment(**one) for one in document["segments"])
        return cls(**{**document, "segments": segments})

    def uncut(self, reason: str) -> Plan:
        """Return a plan of the same source as one segment."""
        whole = Segment(first=0, count=None)
        return Plan(self.source, self.fingerprint, self.fps, self.frames, (whole,), reason)


@dataclass(frozen=True)
class _Packet:
    pts: int
    seek: int
    key: bool


def plan_video(path: Path, source: str, fingerprint: str, least: int = SEGMENT_FRAMES) -> Plan:
    """Plan a video in a local file.

    Args:
        path: of the file.
        source: its address.
        fingerprint: of the file.
        least: smallest number of frames of a segment.

    Raises:
        SourceError: no frame of it can be read.
    """
    with open_source(str(path)) as opened:
        first = opened.read()
        fps, promised = opened.fps, opened.promised
    assert first is not None  # a source that opened has a frame
    uncut = Plan(source, fingerprint, fps, promised, ()).uncut
    try:
        packets = _packets(path)
    except (av.FFmpegError, ValueError) as error:
        return uncut(f"its packets cannot be listed ({error})")
    if packets is None:
        return uncut("its packets have no times, or a time occurs twice")
    if promised is not None and len(packets) != promised:
        return uncut(f"it holds {len(packets)} packets, but states {promised} frames")
    segments = _cut(packets, least)
    if first.seconds is None or not _same_first(path, segments[0], first):
        return uncut("its first frame differs when it is decoded from its packets")
    return Plan(source, fingerprint, fps, len(packets), tuple(segments))


def _packets(path: Path) -> list[_Packet] | None:
    """Return the packets of shown frames, in the file's order; None if times are not unique."""
    found = []
    with library_path(path) as name, av.open(name, options=file_options()) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            if not packet.size or packet.is_discard:  # the end, or hidden by an edit list
                continue
            if packet.pts is None or packet.is_corrupt:
                return None
            # A container is indexed by one of the two times; the earlier is never too late.
            seek = packet.pts if packet.dts is None else min(packet.pts, packet.dts)
            found.append(_Packet(packet.pts, seek, packet.is_keyframe))
    if not found or len({packet.pts for packet in found}) < len(found):
        return None
    return found


def _cut(packets: Sequence[_Packet], least: int) -> list[Segment]:
    shown = np.sort(np.array([packet.pts for packet in packets], np.int64))
    keys = sorted((packet for packet in packets if packet.key), key=lambda packet: packet.pts)
    starts: list[tuple[int, _Packet | None]] = [(0, None)]
    for key in keys:
        rank = int(np.searchsorted(shown, key.pts))
        if rank - starts[-1][0] >= least:
            starts.append((rank, key))
    segments = []
    for place, (rank, start) in enumerate(starts):
        following = starts[place + 1] if place + 1 < len(starts) else None
        end = len(shown) if following is None else following[0]
        segments.append(
            Segment(
                first=rank,
                count=end - rank,
                pts=int(shown[rank]),
                seek=None if start is None else start.seek,
                end=None if following is None else int(shown[end]),
                zero=int(shown[0]),
            )
        )
    return segments


def _same_first(path: Path, segment: Segment, frame: Frame) -> bool:
    """Whether decoding from packets gives the same pixels as ``run``."""
    try:
        with library_path(path) as name:
            mine = next(iter(SegmentFrames(name, segment)), None)
    except (av.FFmpegError, ValueError):
        return False
    return mine is not None and np.array_equal(mine.image, frame.image)
