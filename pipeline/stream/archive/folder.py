"""The archive on disk, with a Parquet file per segment that is either complete or absent.

::

    DIR/roadseg-archive.json                        engine and options of the rows
    DIR/report.json                                 the state of each source
    DIR/rows/source=ADDRESS/part-000000256.parquet  the frames from 256 on
    DIR/rows/source=ADDRESS/_plan.json, _done.json  its segments; the mark that it is done
    DIR/overlay/ADDRESS.mp4                         with --overlay, at the end of a source

Readers of partitioned tables ignore names that begin with ``_`` or ``.``, and take ``source`` from
the folder's name. A part is committed by its rename; a process that dies earlier leaves only a
hidden file, which the next run removes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from models.atomic import atomic_path
from models.lock import WriteLock
from models.typed import parse_json
from pipeline.engine.manifest import Manifest
from pipeline.errors import OutputError, unwritable
from pipeline.stream.archive.decoding import Seams
from pipeline.stream.archive.plan import Plan

_MARKER = "roadseg-archive.json"
_KIND, _VERSION = "roadseg-archive", 1
_LONGEST = 200
_SEAMS = b"roadseg.seams"


@dataclass(frozen=True)
class Contents:
    """The engine and options of an archive's rows, which are the same for all of them.

    Attributes:
        engine: SHA-256 over the engine's files.
        classes: names, in order.
        every: every N-th frame has a row.
        masks: whether rows have class maps.
        overlay: whether there are videos.
    """

    engine: str
    classes: tuple[str, ...]
    every: int = 1
    masks: bool = False
    overlay: bool = False

    @classmethod
    def of(cls, manifest: Manifest, every: int, masks: bool, overlay: bool) -> Contents:
        digest = hashlib.sha256("".join(file.sha256 for file in manifest.files).encode())
        return cls(digest.hexdigest(), manifest.classes.names, every, masks, overlay)


class ArchiveFolder:
    """An output folder, locked against other processes until ``close``.

    Raises:
        OutputError: it holds other files, or rows of another engine or other options; another
            process writes it; it cannot be written.
    """

    def __init__(self, path: Path, contents: Contents) -> None:
        self.path = path
        self.contents = contents
        with _writable(path):
            path.mkdir(parents=True, exist_ok=True)
            self._lock = WriteLock(path / ".roadseg.lock", str(path))
            try:
                self._claim()
            except BaseException:
                self._lock.release()
                raise

    def _claim(self) -> None:
        marker = self.path / _MARKER
        given = {"kind": _KIND, "format_version": _VERSION, **asdict(self.contents)}
        given["classes"] = list(self.contents.classes)
        if not marker.exists():
            if any(not one.name.startswith(".") for one in self.path.iterdir()):
                raise OutputError(
                    f"folder {self.path} holds files and is not an archive; choose an empty one"
                )
            _write_json(marker, given)
            return
        there = _read_json(marker)
        for key, value in given.items():
            if there.get(key) != value:
                raise OutputError(
                    f"folder {self.path} is an archive of another {_WORDS.get(key, key)} "
                    f"({_shown(there.get(key))}, given {_shown(value)}), so rows would not fit "
                    "together; give another --output"
                )

    def close(self) -> None:
        """Release the lock."""
        self._lock.release()

    def source(self, source: str) -> SourceFolder:
        """Return the folder of one source."""
        name = _quoted(source)
        rows, videos = self.path / "rows" / f"source={name}", self.path / "overlay"
        return SourceFolder(source, rows, videos / name, videos / f"{name}.mp4")

    def write_report(self, document: Mapping[str, Any]) -> Path:
        """Write the report and return its path."""
        path = self.path / "report.json"
        with _writable(path):
            _write_json(path, document)
        return path


class SourceFolder:
    """The files of one source.

    Args:
        source: its address.
        path: folder of its rows.
        pieces: folder of the pieces of its overlay, until it is done.
        video: the complete overlay.
    """

    def __init__(self, source: str, path: Path, pieces: Path, video: Path) -> None:
        self.source = source
        self.path = path
        self.pieces = pieces
        self.video = video

    def tidy(self) -> None:
        """Remove partial files of a killed run."""
        for folder in (self.path, self.pieces, self.video.parent):
            for left in folder.glob(".*partial*"):
                left.unlink(missing_ok=True)
        for piece in self.pieces.glob("*.mkv"):  # one without rows is written again with its rows
            if not self.has(int(piece.stem)):
                piece.unlink()

    def plan(self, current: str) -> Plan | None:
        """Return the plan of an earlier run; None without one.

        Raises:
            OutputError: the file has changed since (``current`` is its fingerprint now).
        """
        path = self.path / "_plan.json"
        if not path.exists():
            return None
        try:
            plan = Plan.from_json(_read_json(path))
        except (KeyError, TypeError) as error:
            raise OutputError(f"{path} is damaged ({error}); remove {self.path}") from error
        if plan.fingerprint != current:
            raise OutputError(
                f"source {self.source} has changed since its rows in {self.path} were written; "
                "remove that folder to archive it again"
            )
        return plan

    def write_plan(self, plan: Plan) -> None:
        """Start a source, or start it again: parts of an earlier plan are removed."""
        with _writable(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            for left in (*self.path.glob("part-*.parquet"), *self.pieces.glob("*.mkv")):
                left.unlink()
            _write_json(self.path / "_plan.json", plan.to_json())

    def has(self, first: int) -> bool:
        """Whether the segment with this first frame is committed."""
        return self._part(first).exists()

    def commit(self, first: int, table: pa.Table, seams: Seams, overlay: bytes | None) -> None:
        """Write a segment completely or not at all."""
        stored = table.replace_schema_metadata({_SEAMS: json.dumps(asdict(seams)).encode()})
        with _writable(self.path):
            if overlay is not None:
                self.pieces.mkdir(parents=True, exist_ok=True)
                with atomic_path(self.piece(first)) as temporary:
                    temporary.write_bytes(overlay)
            with atomic_path(self._part(first)) as temporary, temporary.open("wb") as file:
                pq.write_table(stored, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())

    def rows(self, plan: Plan) -> int:
        """Return the number of committed rows."""
        return sum(pq.read_metadata(self._part(one.first)).num_rows for one in plan.segments)

    def torn(self, plan: Plan) -> bool:
        """Whether two neighbouring segments decoded the key frame between them differently."""
        seams = [self._seams(one.first) for one in plan.segments]
        return any(a.exit != b.entry for a, b in pairwise(seams))

    def problems(self, plan: Plan) -> list[str]:
        """Return the problems that committed segments have reported."""
        return [line for one in plan.segments for line in self._seams(one.first).problems]

    def done(self) -> dict[str, Any] | None:
        """Return what ``finish`` wrote; None for a source that is not done."""
        path = self.path / "_done.json"
        return _read_json(path) if path.exists() else None

    def finish(self, document: Mapping[str, Any]) -> None:
        """Mark the source as done."""
        with _writable(self.path):
            _write_json(self.path / "_done.json", document)

    def piece(self, first: int) -> Path:
        """Return the path of a segment's overlay until the source is done."""
        return self.pieces / f"{first:09d}.mkv"

    def _part(self, first: int) -> Path:
        return self.path / f"part-{first:09d}.parquet"

    def _seams(self, first: int) -> Seams:
        metadata = pq.read_schema(self._part(first)).metadata or {}
        return Seams(**json.loads(metadata.get(_SEAMS, b"{}")))


_WORDS = {"engine": "engine", "every": "--every", "masks": "--masks", "overlay": "--overlay"}


def _shown(value: object) -> str:
    return value[:8] if isinstance(value, str) else str(value)


def _quoted(source: str) -> str:
    """Return a folder name for an address; a long one is cut and ends in a hash."""
    raw = source.encode(errors="surrogateescape")
    name = quote(raw, safe="")
    if len(name) <= _LONGEST:
        return name
    return f"{name[-_LONGEST + 9 :].lstrip('%')}-{hashlib.sha256(raw).hexdigest()[:8]}"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read ({error}); remove its folder") from error
    if not isinstance(document, dict):
        raise OutputError(f"{path} is damaged; remove its folder")
    return document


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _writable(path: Path) -> AbstractContextManager[None]:
    """Translate the system's errors of writing ``path``."""
    return unwritable(
        path,
        "make room or choose another --output; committed segments stay, and the same command goes "
        "on from there",
    )
