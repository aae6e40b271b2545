"""The rows that decoding, inference and the driver exchange as Arrow tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

#: Columns of both stages: source, segment (by its first frame), chunk, and its frames.
_KEYS = [
    ("source", pa.binary()),  # names of files are bytes
    ("first", pa.int64()),
    ("chunk", pa.int64()),
    ("last", pa.bool_()),
    ("index", pa.list_(pa.int64())),
    ("name", pa.list_(pa.string())),
    ("seconds", pa.list_(pa.float64())),
    # About the segment, in its last chunk: lines for the report; why the video must be read as a
    # whole; why it failed; digests of the pictures at both ends.
    ("problems", pa.list_(pa.string())),
    ("torn", pa.string()),
    ("failed", pa.string()),
    ("entry", pa.int64()),
    ("exit", pa.int64()),
]

#: A few frames of the same size, one after the other in ``frames``.
FRAMES = pa.schema(
    [
        *_KEYS,
        ("height", pa.int64()),
        ("width", pa.int64()),
        ("rate", pa.float64()),
        ("frames", pa.large_binary()),
    ]
)

#: Their results: ``shares`` frame by frame, class maps as PNG, a piece of video.
RESULTS = pa.schema(
    [
        *_KEYS,
        ("shares", pa.list_(pa.float64())),
        ("masks", pa.list_(pa.binary())),
        ("overlay", pa.large_binary()),
    ]
)


def one_row(row: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """Return a table of one row; missing values are null."""
    columns = [pa.array([row.get(field.name)], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def keys_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of both stages."""
    return {name: row[name] for name, _ in _KEYS}
