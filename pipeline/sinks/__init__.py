"""Where results go. One file per kind, one line in the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.errors import RoadsegError, SinkError
from pipeline.sinks import masks, none, statistics, video
from pipeline.sinks.base import Sink, SinkOptions

__all__ = ["SINKS", "Sink", "SinkKind", "SinkOptions", "open_sink", "open_sinks"]


@dataclass(frozen=True)
class SinkKind:
    """A line of the table: how it is written, what it looks like, how it is opened."""

    form: str
    matches: Callable[[str], bool]
    open: Callable[[str, SinkOptions], Sink]


#: Asked from top to bottom; the first that matches opens.
SINKS = (
    SinkKind("none", none.matches, none.open_none),
    SinkKind("NAME.mp4 or NAME.mkv", video.matches, video.open_video_sink),
    SinkKind("NAME.jsonl or NAME.json", statistics.matches, statistics.open_statistics),
    SinkKind("DIR, masks:DIR or masks-index:DIR", masks.matches, masks.open_masks),
)

#: Words of the command line that must not become directories of masks.
_RESERVED = {"", "window", "http"}


def open_sink(text: str, options: SinkOptions | None = None) -> Sink:
    """Open what ``text`` means.

    Args:
        text: ``none``; a video ``NAME.mp4`` or ``NAME.mkv``; statistics ``NAME.jsonl`` or
            ``NAME.json``; a directory of masks in colour (``DIR`` or ``masks:DIR``) or as class
            indices (``masks-index:DIR``).
        options: what the sink has to know.

    Raises:
        SinkError: no kind of sink is written like this.
        OutputError: something that is not ours stands there, or it cannot be written.
    """
    kind = next((kind for kind in SINKS if kind.matches(text)), None)
    if kind is None or text in _RESERVED:
        forms = "; ".join(kind.form for kind in SINKS)
        raise SinkError(f"sink {text} is of no known kind; give one of: {forms}")
    return kind.open(text, options or SinkOptions())


def open_sinks(texts: Sequence[str], options: SinkOptions | None = None) -> list[Sink]:
    """Open several sinks, or none: what was opened before a failure is closed again.

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
