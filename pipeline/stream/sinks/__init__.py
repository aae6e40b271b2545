"""Sinks, where results go: one file per kind, one line in the table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import RoadsegError, SinkError
from pipeline.stream.sinks import (
    broadcast,
    http,
    masks,
    none,
    overlays,
    statistics,
    unix_socket,
    video,
    window,
    zones,
)
from pipeline.stream.sinks.base import Sink, SinkOptions

__all__ = ["SINKS", "Sink", "SinkKind", "SinkOptions", "numbered", "open_sink", "open_sinks"]


@dataclass(frozen=True)
class SinkKind:
    """A line of the table.

    Attributes:
        form: how it is written on the command line.
        matches: whether a text has this form.
        open: opens the sink of a text.
        numbered: returns the text for one of several cameras, given its number from 1.
    """

    form: str
    matches: Callable[[str], bool]
    open: Callable[[str, SinkOptions], Sink]
    numbered: Callable[[str, int], str]


#: A prefix like that of a kind; a folder of such a name is written ``./a:b``.
_PREFIX = re.compile(r"[A-Za-z][A-Za-z-]+:")


def _shared(text: str, _number: int) -> str:
    return text


def _suffixed(text: str, number: int) -> str:
    return f"{text}-{number}"


def _file(text: str, number: int) -> str:
    path = Path(text)
    return str(path.with_name(f"{path.stem}-{number}{path.suffix}"))


def _folder(text: str, number: int) -> str:
    return f"{text.rstrip('/')}/{number}"


#: The first kind that matches is opened. Prefixes come before file names, since a folder of masks
#: may be called ``drive.mp4``.
SINKS = (
    SinkKind("masks:DIR or masks-index:DIR", masks.has_prefix, masks.open_masks, _folder),
    SinkKind("overlays:DIR", overlays.matches_folder, overlays.open_folder, _folder),
    SinkKind("zones:FILE.yaml", zones.matches, zones.open_zones, zones.numbered),
    SinkKind("window", window.matches, window.open_window, _shared),
    SinkKind("http", http.matches, http.open_http, _shared),
    SinkKind("none", none.matches, none.open_none, _shared),
    SinkKind("rtsp:// or udp://", broadcast.matches, broadcast.open_broadcast, broadcast.numbered),
    SinkKind("socket:PATH", unix_socket.matches, unix_socket.open_unix_socket, _suffixed),
    SinkKind("NAME.mp4 or NAME.mkv", video.matches, video.open_video_sink, _file),
    SinkKind("NAME.jsonl or NAME.json", statistics.matches, statistics.open_statistics, _file),
    SinkKind("NAME.png or NAME.jpg", overlays.matches_picture, overlays.open_picture, _file),
    SinkKind("DIR", masks.matches, masks.open_masks, _folder),
)


def open_sink(text: str, options: SinkOptions | None = None) -> Sink:
    """Open a sink.

    Args:
        text: ``window``; ``http``, the page; ``none``; a video over the network (``rtsp://`` or
            ``udp://``); class maps for other processes (``socket:PATH``); a video ``NAME.mp4`` or
            ``NAME.mkv``; the overlay of one frame (``NAME.png``, ``NAME.jpg``) or of all
            (``overlays:DIR``); statistics ``NAME.jsonl`` or ``NAME.json``; zones and alerts
            (``zones:FILE.yaml``); a directory of masks in colour (``DIR`` or ``masks:DIR``) or as
            class indices (``masks-index:DIR``).
        options: what the sink needs to know.

    Raises:
        SinkError: no kind of sink has this form.
        OutputError: the output exists and is not ours, or it cannot be written.
    """
    return _kind(text).open(text, options or SinkOptions())


def numbered(text: str, number: int) -> str:
    """Return the text of a sink for one of several cameras, so that each has its own output.

    ``out.mp4`` becomes ``out-1.mp4``, and a folder of masks ``DIR`` becomes ``DIR/1``; sinks
    without an output, and those that all cameras share, stay as they are.

    Raises:
        SinkError: no kind of sink has this form.
    """
    return _kind(text).numbered(text, number)


def _kind(text: str) -> SinkKind:
    kind = next((kind for kind in SINKS if kind.matches(text)), None)
    unknown_prefix = kind is not None and kind.form == "DIR" and _PREFIX.match(text)
    if kind is None or not text or (unknown_prefix and not Path(text).is_dir()):
        forms = "; ".join(kind.form for kind in SINKS)
        raise SinkError(f"sink {text} is of no known kind; give one of: {forms}")
    return kind


def open_sinks(texts: Sequence[str], options: SinkOptions | None = None) -> list[Sink]:
    """Open several sinks; if one fails, those opened before are closed again.

    Raises:
        SinkError, OutputError: as ``open_sink``; also when two sinks share an output.
    """
    sinks: list[Sink] = []
    try:
        for text in texts:
            sinks.append(open_sink(text, options))
            outputs = [sink.output.resolve() for sink in sinks if sink.output is not None]
            if len(set(outputs)) < len(outputs):
                raise SinkError(f"two sinks would write {text}; give each its own name")
    except RoadsegError:
        for sink in sinks:
            sink.close()
        raise
    return sinks
