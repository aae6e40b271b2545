"""Sources, where frames come from: one file per kind, one line in the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.stream.sources import camera, csi, network, pictures, raw, synthetic, video
from pipeline.stream.sources.base import CameraOptions, Source, SourceOptions
from pipeline.stream.sources.excerpt import Excerpt
from pipeline.stream.sources.paced import PacedSource

__all__ = ["SOURCES", "CameraOptions", "Source", "SourceKind", "SourceOptions", "open_source"]


@dataclass(frozen=True)
class SourceKind:
    """A line of the table: name, whether a text names such a source, and how it is opened."""

    name: str
    matches: Callable[[str], bool]
    open: Callable[[str, SourceOptions], Source]


#: The first kind that matches is opened.
SOURCES = (
    SourceKind("synthetic", synthetic.matches, synthetic.open_synthetic),
    SourceKind("camera", camera.matches, camera.open_camera),
    SourceKind("csi", csi.matches, csi.open_csi),
    SourceKind("stdin", raw.matches, raw.open_stdin),
    SourceKind("network", network.matches, network.open_network),
    SourceKind("pictures", pictures.matches, pictures.open_pictures),
    SourceKind("video", video.matches, video.open_video),
)


def open_source(text: str, options: SourceOptions | None = None) -> Source:
    """Open a source.

    Args:
        text: camera number or device file, ``csi`` or ``csi:N``, ``stdin:WxH`` or
            ``stdin:WxH@FPS``, URL, path of a video or picture, directory, pattern, ``synthetic``
            or ``synthetic:WxH``.
        options: further options.

    Raises:
        SourceError: it does not exist, or no frame of it can be read.
    """
    options = options or SourceOptions()
    kind = next(kind for kind in SOURCES if kind.matches(text))
    if options.start or options.every > 1 or options.loop:
        source: Source = Excerpt(
            lambda: kind.open(text, options), options.start, options.every, options.loop
        )
    else:
        source = kind.open(text, options)
    if options.realtime and not source.live:
        return PacedSource(source, options.picture_rate)
    return source
