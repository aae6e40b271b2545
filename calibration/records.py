"""What a calibration table says beside its ranges, as records that its file is checked against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

Dtype = Literal["int8", "uint8"]


class PerType(TypedDict):
    """A number for each type of byte."""

    int8: float
    uint8: float


#: Method -> type -> number.
PerMethod = Mapping[str, PerType]


class Fingerprint(TypedDict, total=False):
    """What ranges were measured on, and what they hold for; hashes are SHA-256.

    ``frames``, ``frame_count`` and ``source`` say the former; ``preprocessing`` (the fields of
    ``InputSpec``), ``weights`` and ``graph`` the latter.
    """

    frames: str
    frame_count: int
    source: str
    preprocessing: Mapping[str, Any]
    weights: str
    graph: str


class Judged(TypedDict, total=False):
    """What INT8 was worth when its table was made; ``speedup`` on ``processor``, over FP32."""

    frames: int
    pixel_agreement: float
    miou: float
    miou_fp32: float
    speedup: float
    processor: str


class Measured(TypedDict, total=False):
    """What a table's choices rest on: agreement with FP32 on ``frames``; see :class:`Judged`."""

    agreement_by_method: Mapping[str, float]
    frames: int
    judged: Judged
