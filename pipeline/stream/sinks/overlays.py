"""Overlay pictures: one file ``NAME.png`` or ``NAME.jpg``, or a folder with one per frame."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import cv2

from calibration.scenes.png import with_comment
from pipeline.errors import SinkError
from pipeline.stream.frame import Image, Result
from pipeline.stream.sinks.base import Sink, SinkOptions
from pipeline.stream.sinks.masks import MaskSink
from pipeline.stream.sinks.output_file import MARK, OutputFile

_PREFIX = "overlays:"
_SUFFIXES = {".png", ".jpg", ".jpeg"}


def matches_picture(text: str) -> bool:
    """``NAME.png`` or ``NAME.jpg``, unless it is a folder of that name."""
    path = Path(text).expanduser()
    return ":" not in text and path.suffix.lower() in _SUFFIXES and not path.is_dir()


def open_picture(text: str, options: SinkOptions) -> Sink:
    return PictureSink(Path(text).expanduser(), options)


def matches_folder(text: str) -> bool:
    """``overlays:DIR``."""
    return text.startswith(_PREFIX)


def open_folder(text: str, options: SinkOptions) -> Sink:
    return OverlaySink(Path(text.removeprefix(_PREFIX)).expanduser(), options)


class OverlaySink(MaskSink):
    """One PNG per frame with the classes drawn over it; otherwise as ``MaskSink``."""

    wants_overlay = True

    def __init__(self, folder: Path, options: SinkOptions) -> None:
        super().__init__(folder, options, as_index=False)
        self.name = "overlays"

    def _picture(self, result: Result) -> Image:
        return self._overlay_of(result)


class PictureSink(Sink):
    """The overlay of the only frame of a source.

    Raises:
        OutputError: a file that is not ours has that name, or the folder cannot be written.
    """

    wants_overlay = True

    def __init__(self, path: Path, options: SinkOptions) -> None:
        super().__init__("picture", path)
        self._path = path
        self._file = OutputFile(path, options.force)

    def _write(self, result: Result) -> None:
        if self.written:
            raise SinkError(
                f"{self._path} is one picture and the source has more; give overlays:DIR for all, "
                "a video such as out.mp4, or --frames 1"
            )
        picture = self._overlay_of(result)
        encoded = cv2.imencode(self._path.suffix.lower(), picture)[1].tobytes()
        self._file.partial.write_bytes(_marked(encoded))

    def _finish(self) -> None:
        self._file.commit()

    def _discard(self) -> None:
        with suppress(OSError):
            self._file.discard()


def _marked(encoded: bytes) -> bytes:
    """Put our mark into a picture as its comment."""
    mark = MARK.encode()
    if encoded.startswith(b"\xff\xd8"):  # JPEG: a COM segment after the start of the image
        return encoded[:2] + b"\xff\xfe" + (len(mark) + 2).to_bytes(2, "big") + mark + encoded[2:]
    return with_comment(encoded, MARK)
