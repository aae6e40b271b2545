"""Typed records of a calibration table beside its ranges; files are checked against them."""

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
    """What ranges were measured on (``frames``, ``frame_count``, ``source``) and are valid for.

    They are valid for ``preprocessing`` (the fields of ``InputSpec``), ``weights`` and ``graph``.
    Hashes are SHA-256.
    """

    frames: str
    frame_count: int
    source: str
    preprocessing: Mapping[str, Any]
    weights: str
    graph: str


class Judged(TypedDict, total=False):
    """Accuracy of INT8 when its table was made, and its ``speedup`` over FP32 on ``processor``."""

    frames: int
    pixel_agreement: float
    miou: float
    miou_fp32: float
    speedup: float
    processor: str


class Measured(TypedDict, total=False):
    """Measurements behind a table's choices: agreement with FP32 on ``frames``, and the result."""

    agreement_by_method: Mapping[str, float]
    frames: int
    judged: Judged
