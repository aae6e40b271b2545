"""Puts chunks together and commits complete segments; the only writer of an archive."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from models.atomic import atomic_path
from pipeline.errors import SinkError
from pipeline.stream.archive.decoding import Seams, Segment
from pipeline.stream.archive.folder import Contents, SourceFolder
from pipeline.stream.archive.overlay_pieces import join_pieces
from pipeline.stream.archive.plan import Plan

_Row = dict[str, Any]


@dataclass
class SourceWork:
    """A source that is not done.

    Attributes:
        folder: of its rows.
        plan: its segments.
        missing: first frames of the segments that are not committed.
        problems: for the report.
        torn: why it must be read as a whole; None if it need not.
        failed: why it cannot be finished; None if it can.
        chunks: of incomplete segments, by the segment's first frame and the chunk's number.
    """

    folder: SourceFolder
    plan: Plan
    missing: set[int]
    problems: list[str] = field(default_factory=list)
    torn: str | None = None
    failed: str | None = None
    chunks: dict[int, dict[int, _Row]] = field(default_factory=dict)

    @classmethod
    def begin(cls, folder: SourceFolder, plan: Plan) -> SourceWork:
        """Find the segments that an earlier run has not committed."""
        return cls(folder, plan, {one.first for one in plan.segments if not folder.has(one.first)})

    def segments(self) -> list[Segment]:
        """Return the segments that are not committed."""
        return [one for one in self.plan.segments if one.first in self.missing]

    def read_as_a_whole(self) -> SourceWork:
        """Start the source again as one segment; its rows so far are removed."""
        assert self.torn is not None
        plan = self.plan.uncut(self.torn)
        self.folder.write_plan(plan)
        return SourceWork(self.folder, plan, {0})


class Collector:
    """Takes results in any order, also repeated ones, and commits each segment once.

    Args:
        contents: of the archive.
        sources: that are not done, by address.

    Attributes:
        frames, segments: committed so far.
    """

    def __init__(self, contents: Contents, sources: Mapping[str, SourceWork]) -> None:
        self._contents = contents
        self._sources = sources
        self.frames = 0
        self.segments = 0

    def add(self, row: _Row) -> None:
        """Take one chunk.

        Raises:
            OutputError: a segment cannot be written.
        """
        source = self._sources[os.fsdecode(row["source"])]
        first = row["first"]
        if source.torn or source.failed or first not in source.missing:
            return
        source.failed = row["failed"]
        source.torn = row["torn"]
        if source.failed or source.torn:
            source.chunks.clear()
            return
        chunks = source.chunks.setdefault(first, {})
        chunks[row["chunk"]] = row
        end = next((number for number, one in chunks.items() if one["last"]), None)
        if end is None or len(chunks) <= end:
            return
        del source.chunks[first]
        self._commit(source, first, [chunks[number] for number in range(end + 1)])

    def _commit(self, source: SourceWork, first: int, chunks: list[_Row]) -> None:
        table = rows_of(chunks, self._contents)
        ending = chunks[-1]
        pieces = [chunk["overlay"] for chunk in chunks if chunk["overlay"]]
        overlay = None
        try:
            if self._contents.overlay and pieces:
                overlay = pieces[0] if len(pieces) == 1 else _joined(pieces)
        except SinkError as error:
            source.problems.append(f"{source.plan.source}: {error}")
        seams = Seams(ending["entry"], ending["exit"], tuple(ending["problems"]))
        source.folder.commit(first, table, seams, overlay)
        source.missing.discard(first)
        self.frames += table.num_rows
        self.segments += 1
        if not source.missing:
            self.finish(source)

    def finish(self, source: SourceWork) -> None:
        """Check a source whose segments are all committed, and mark it as done."""
        plan, folder = source.plan, source.folder
        if folder.torn(plan):
            source.torn = "two neighbours decode different pictures at a key frame"
            return
        rows = folder.rows(plan)
        expected = None if plan.whole else -(-(plan.frames or 0) // self._contents.every)
        if expected is not None and rows != expected:
            source.failed = f"{folder.path} holds {rows} rows of {expected} frames; remove it"
            return
        source.problems = folder.problems(plan)
        if self._contents.overlay:
            self._join_overlay(source)
        folder.finish({"frames": rows, "whole": plan.whole, "problems": source.problems})

    def _join_overlay(self, source: SourceWork) -> None:
        folder = source.folder
        pieces = [folder.piece(one.first) for one in source.plan.segments]
        pieces = [one for one in pieces if one.exists()]
        if not pieces:
            return
        try:
            with atomic_path(folder.video) as temporary:
                join_pieces(pieces, temporary)
        except SinkError as error:
            source.problems.append(f"{source.plan.source}: {error}")
            return
        for piece in pieces:
            piece.unlink()
        folder.pieces.rmdir()


def rows_of(chunks: list[_Row], contents: Contents) -> pa.Table:
    """Return a segment's table: index, name, seconds, a column for each class, class maps."""
    count = len(contents.classes)
    shares = [share for chunk in chunks for share in chunk["shares"] or []]

    def listed(key: str) -> list[Any]:
        return [value for chunk in chunks for value in chunk[key] or []]

    columns = {
        "index": pa.array(listed("index"), pa.int64()),
        "name": pa.array(listed("name"), pa.string()),
        "seconds": pa.array(listed("seconds"), pa.float64()),
    }
    for place, name in enumerate(contents.classes):
        columns[f"share_{name}"] = pa.array(shares[place::count], pa.float64())
    if contents.masks:
        columns["mask"] = pa.array(listed("masks"), pa.binary())
    return pa.table(columns)


def _joined(pieces: list[bytes]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="roadseg-archive-") as folder:
        path = Path(folder) / "joined.mkv"
        join_pieces(pieces, path)
        return path.read_bytes()
