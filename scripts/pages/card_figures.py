"""Figures that several tables of ``docs/accuracy.md`` read from the cards of the weights."""

from __future__ import annotations

from calibration.metrics.regions import SIZE_BINS
from calibration.table import load_table
from models.card import Card as Card
from models.weights import registered_table


def int8_miou(name: str) -> float | None:
    """Return the mIoU of INT8 in the registered calibration table; None without one."""
    path = registered_table(name)
    return load_table(path).measured["judged"]["miou"] if path.exists() else None


def detail(card: Card) -> list[float]:
    """MIoU, boundary F1 and recall by size of a card."""
    found = card["val_detail"]
    recalls = (found["recall_by_size"][size]["recall"] for size in SIZE_BINS)
    return [card["val"]["miou"], found["boundary_f1"], *recalls]


def beside(card: Card, reference: Card | None) -> list[str]:
    """:func:`detail` in percent, the difference from another card's in brackets."""
    if reference is None:
        return [percent(share) for share in detail(card)]
    pairs = zip(detail(card), detail(reference), strict=True)
    return [f"{percent(own)} ({100 * (own - theirs):+.1f})" for own, theirs in pairs]


def percent(share: float | None) -> str:
    """Write a share with one decimal; nothing where there is none."""
    return "" if share is None else f"{100 * share:.1f}"
