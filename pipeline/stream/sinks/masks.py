"""Class maps as PNG files in a directory: in the palette's colours, or as class indices."""

from __future__ import annotations

import csv
import json
from contextlib import suppress
from pathlib import Path
from typing import IO

import cv2

from models.lock import WriteLock
from pipeline.errors import OutputError
from pipeline.stream.frame import Image, Result
from pipeline.stream.overlay import Palette
from pipeline.stream.sinks.base import MediaTime, Sink, SinkOptions
from pipeline.stream.sinks.output_file import MARK

_PREFIXES = {"masks:": False, "masks-index:": True}
#: Marks a directory as ours.
_MARKER = ".roadseg"
_LOCK = ".roadseg.lock"
_MANIFEST = "manifest.csv"
#: Name of a mask while it is written; short, since a frame's name may be as long as allowed.
_PARTIAL = ".mask.partial"
_COLUMNS = ("file", "index", "seconds")


def has_prefix(text: str) -> bool:
    """``masks:DIR`` or ``masks-index:DIR``."""
    return text.startswith(tuple(_PREFIXES))


def matches(text: str) -> bool:
    """A path without suffix or of a directory."""
    path = Path(text).expanduser()
    return path.is_dir() or not path.suffix


def open_masks(text: str, options: SinkOptions) -> Sink:
    """Open a directory of colour masks, or of index masks with ``masks-index:DIR``."""
    for prefix, as_index in _PREFIXES.items():
        if text.startswith(prefix):
            return MaskSink(Path(text.removeprefix(prefix)).expanduser(), options, as_index)
    return MaskSink(Path(text).expanduser(), options, as_index=False)


class MaskSink(Sink):
    """One PNG per frame, of the frame's size and name, and ``manifest.csv``.

    Colour masks are RGB in the palette of the classes; index masks are 8-bit grey with the class
    index as value. The manifest lists file, frame index and seconds in the source's own time.

    A directory is ours if it was empty or holds ``.roadseg``. When a new run writes its first mask,
    the masks listed in the manifest are removed; other files are never touched.

    Raises:
        OutputError: the directory is not ours, is a file, or cannot be written.
    """

    def __init__(self, folder: Path, options: SinkOptions, as_index: bool) -> None:
        super().__init__("masks", folder)
        self._folder = folder
        self._palette = None if as_index else Palette(options.classes)
        self._time = MediaTime(options.fps, options.live)
        self._manifest: IO[str] | None = None
        self._lock = _claim(folder, options.force)

    def _write(self, result: Result) -> None:
        if self._manifest is None:
            self._manifest = self._begin()
        name = f"{result.frame.name}.png"
        encoded = cv2.imencode(".png", self._picture(result), _png_settings())[1].tobytes()
        seconds = f"{self._time.seconds(result.frame):.4f}"
        partial = self._folder / _PARTIAL
        try:
            partial.unlink(missing_ok=True)  # left by a killed run, or a link
            with partial.open("xb") as file:
                file.write(encoded)
            csv.writer(self._manifest).writerow((name, result.frame.index, seconds))
            partial.replace(self._folder / name)
        except OSError:
            partial.unlink(missing_ok=True)
            raise

    def _picture(self, result: Result) -> Image:
        """Return the picture to write, (H, W) or (H, W, 3) uint8."""
        classes = result.classes_at_frame_size()
        return classes if self._palette is None else self._palette.colours(classes)

    def _begin(self) -> IO[str]:
        """Remove the masks of an earlier run, and start the manifest."""
        for name in _listed(self._folder / _MANIFEST):
            (self._folder / name).unlink(missing_ok=True)
        marker = {"comment": MARK, "format": "roadseg-masks", "version": 1}
        (self._folder / _MARKER).write_text(json.dumps(marker) + "\n", encoding="utf-8")
        manifest = (self._folder / _MANIFEST).open(
            "w", encoding="utf-8", errors="surrogateescape", buffering=1, newline=""
        )
        csv.writer(manifest).writerow(_COLUMNS)
        return manifest

    def _finish(self) -> None:
        try:
            if self._manifest is not None:
                self._manifest.close()
        finally:
            self._lock.release()

    def _salvage(self) -> Path | None:
        # Masks that were written are complete, so they stay.
        self._discard()
        return self._folder if self.written else None

    def _discard(self) -> None:
        # The masks of an earlier run stay.
        with suppress(OSError):
            self._finish()


def _png_settings() -> list[int]:
    """Settings for large flat areas, in a third of the time of OpenCV's defaults."""
    settings = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # from OpenCV 4.12
        settings += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]
    return settings


def _claim(folder: Path, force: bool) -> WriteLock:
    """Make a directory if needed, check that it is ours or empty, and lock it."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; masks need the name of a directory")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [path for path in folder.iterdir() if path.name != _LOCK]
        ours = (folder / _MARKER).exists() or not others
        if ours or force:
            return WriteLock(folder / _LOCK, str(folder))
    except OSError as error:
        raise OutputError(
            f"directory {folder} cannot be written ({error.strerror}); choose one that you may "
            "write to"
        ) from error
    raise OutputError(
        f"directory {folder} holds files that are not masks of roadseg; choose an empty one, "
        "or write into it with --force"
    )


def _listed(manifest: Path) -> list[str]:
    """Names of the masks in a manifest, without any that leads out of its directory."""
    if not manifest.is_file():
        return []
    with manifest.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file) if row.get("file")]
    return [name for name in names if Path(name).name == name and name.endswith(".png")]
