"""The card of published weights: data, training, scores and licence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

from models.bounded import read_bytes
from models.errors import WeightsError
from models.typed import convert, parse_json

_MOST_BYTES = 16 << 20


class Scores(TypedDict):
    """On the validation split, 0..1; ``iou`` by class, None for one that never occurs."""

    miou: float
    pixel_accuracy: float
    iou: Mapping[str, float | None]


class _Always(TypedDict):
    model: str
    file: str
    sha256: str
    bytes: int
    val: Scores
    data: str
    licence: str


class Card(_Always, total=False):
    """Fields of every card, and further ones of weights trained here."""

    coding: str
    val_detail: Mapping[str, Any]
    val_miou_before_coding: float
    validations: list[list[float]]
    curves: str
    pretrained: str | None
    recipe: Mapping[str, Any]
    step: int
    seed: int
    command: str
    hours: float
    hardware: str
    torch: str
    notes: str


def read_card(path: Path) -> Card:
    """Read a card, unknown keys included.

    Raises:
        WeightsError: it cannot be read, or misses or misstates a key, which is named.
    """
    try:
        document = parse_json(read_bytes(path, _MOST_BYTES))
        convert(document, Card)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(
            f"the card {path} misses or misstates a field ({reason}); expected one that 'train' "
            "wrote, copy it again"
        ) from error
    return cast(Card, document)
