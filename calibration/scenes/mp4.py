"""Facts about the video in an MP4 or QuickTime file that OpenCV does not report.

Boxes are those of ISO/IEC 14496-12: the edit list (which samples are shown) and the matrix of the
track (how they are turned and mirrored).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

#: Boxes that hold boxes.
_FOLDERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"})
#: Largest index that is read, in bytes: hours of video have a few MB.
_LARGEST = 1 << 28
#: Most frames: four days of 30 a second.
_MOST_SAMPLES = 10_000_000

Matrix = tuple[float, float, float, float]


@dataclass(frozen=True)
class VideoTrack:
    """The first video track.

    Attributes:
        samples: frames that are stored.
        shown: frames that the edit list shows; ``samples`` where there is none.
        sizes: width and height of all video tracks.
        matrix: ``a, b, c, d`` of x' = a x + c y, y' = b x + d y; without scale where it only turns.
    """

    samples: int
    shown: int
    matrix: Matrix
    sizes: tuple[tuple[int, int], ...] = ()

    @property
    def mirrored(self) -> bool:
        """Whether the picture is mirrored, beyond any turn."""
        a, b, c, d = self.matrix
        return a * d - b * c < 0


def read_video_track(path: Path) -> VideoTrack | None:
    """Read a file's index.

    Returns:
        None for another kind of file, one in fragments, or one whose index is damaged.
    """
    try:
        with path.open("rb") as file:
            moov = _moov(file)
        return None if moov is None else _video_track(moov)
    except (OSError, struct.error, ValueError, LookupError, StopIteration, RecursionError):
        return None  # a damaged box


def _moov(file: BinaryIO) -> bytes | None:
    first = True
    while len(head := file.read(8)) == 8:
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        if first and kind not in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}:
            return None
        first = False
        size = size - 8 if size != 1 else int.from_bytes(file.read(8), "big") - 16
        if size < 0:
            return None
        if kind == b"moov":
            return file.read(size) if size <= _LARGEST else None
        file.seek(size, 1)
    return None


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(data):
        size, head = int.from_bytes(data[place : place + 4], "big"), 8
        if size == 1:
            size, head = int.from_bytes(data[place + 8 : place + 16], "big"), 16
        size = size or len(data) - place
        if size < head:
            return
        yield data[place + 4 : place + 8], data[place + head : place + size]
        place += size


def _tree(data: bytes) -> dict[bytes, bytes]:
    """Return the boxes of a track by name, those inside others too; the first of each."""
    found: dict[bytes, bytes] = {}
    for kind, content in _boxes(data):
        if kind in _FOLDERS:
            found |= {name: box for name, box in _tree(content).items() if name not in found}
        found.setdefault(kind, content)
    return found


def _video_track(moov: bytes) -> VideoTrack | None:
    top = list(_boxes(moov))
    if any(kind == b"mvex" for kind, _ in top):
        return None
    movie = next(content for kind, content in top if kind == b"mvhd")
    scale = struct.unpack_from(">I", movie, 20 if movie[0] else 12)[0]
    tracks = [_tree(content) for kind, content in top if kind == b"trak"]
    videos = [track for track in tracks if track.get(b"hdlr", b"")[8:12] == b"vide"]
    if not videos:
        return None
    sizes = tuple(_size(track[b"tkhd"]) for track in videos)
    return VideoTrack(*_counts(videos[0], scale), _matrix(videos[0][b"tkhd"]), sizes)


def _matrix(tkhd: bytes) -> Matrix:
    a, b, _, c, d = struct.unpack_from(">5i", tkhd, (32 if tkhd[0] else 20) + 20)
    return a / 65536, b / 65536, c / 65536, d / 65536


def _size(tkhd: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">2I", tkhd, (32 if tkhd[0] else 20) + 56)
    return width >> 16, height >> 16


def _runs(box: bytes) -> NDArray[np.int64]:
    """Return the pairs of a table of runs, one row for each sample's value."""
    count = struct.unpack_from(">I", box, 4)[0]
    pairs = np.frombuffer(box, ">i4", 2 * count, 8).reshape(-1, 2).astype(np.int64)
    if (total := int(pairs[:, 0].sum())) > _MOST_SAMPLES:
        raise ValueError(f"{total} samples")  # a damaged table can claim any number
    return np.repeat(pairs[:, 1], pairs[:, 0])


def _counts(track: dict[bytes, bytes], movie_scale: int) -> tuple[int, int]:
    durations = _runs(track[b"stts"])
    samples = len(durations)
    if b"elst" not in track or movie_scale == 0:
        return samples, samples
    media = track[b"mdhd"]
    scale = struct.unpack_from(">I", media, 20 if media[0] else 12)[0]
    times = np.cumsum(durations) - durations
    if b"ctts" in track:
        offsets = _runs(track[b"ctts"])
        times[: len(offsets)] += offsets[:samples]
    shown = np.zeros(samples, bool)
    for length, start in _edits(track[b"elst"]):
        if start < 0:
            continue  # an empty edit: nothing is shown
        end = start + round(length * scale / movie_scale) if length else np.inf
        shown |= (times >= start) & (times < end)
    return samples, int(shown.sum())


def _edits(elst: bytes) -> list[tuple[int, int]]:
    form = struct.Struct(">QqI" if elst[0] else ">IiI")
    count = struct.unpack_from(">I", elst, 4)[0]
    return [form.unpack_from(elst, 8 + i * form.size)[:2] for i in range(count)]
