"""The accuracy gate: searches a calibration with which INT8 holds its budget, or refuses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from calibration.table import CalibrationTable
from pipeline.errors import AccuracyError
from pipeline.evaluation.compare import Comparison
from pipeline.quantization.options import Budget

if TYPE_CHECKING:  # imports torch
    from pipeline.quantization.sensitivity import Sensitivity


@dataclass(frozen=True)
class Attempt:
    """A table, with its method and its layers in high precision, and how INT8 compares with it."""

    table: CalibrationTable
    comparison: Comparison

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the manifest."""
        return {
            "method": self.table.method,
            "high_precision": list(self.table.high_precision),
            "pixel_agreement": self.comparison.pixel_agreement,
            "miou_drop": self.comparison.miou_drop,
        }


#: Builds INT8 with a table, and compares it with FP32.
Evaluator = Callable[[CalibrationTable], Comparison]


def search(
    table: CalibrationTable,
    evaluator: Evaluator,
    budget: Budget,
    rank: Callable[[CalibrationTable], Sequence[Sensitivity]],
) -> list[Attempt]:
    """Return all attempts; the last one holds the budget.

    Tried in this order: the table as it is; the other methods, the one with the best agreement at
    calibration first; the best attempt so far with 1, 2, 4, ... of its most sensitive layers in
    high precision.

    Raises:
        AccuracyError: no attempt held the budget; the error lists them.
    """
    attempts: list[Attempt] = []
    for candidate in _candidates(table, attempts, budget, rank):
        attempts.append(Attempt(candidate, evaluator(candidate)))
        if budget.holds(attempts[-1].comparison):
            return attempts
    raise AccuracyError(_failure(attempts, budget), [attempt.to_json() for attempt in attempts])


def _candidates(
    table: CalibrationTable,
    attempts: Sequence[Attempt],
    budget: Budget,
    rank: Callable[[CalibrationTable], Sequence[Sensitivity]],
) -> Iterator[CalibrationTable]:
    yield table
    measured = table.measured.get("agreement_by_method", {})
    for method in sorted(measured, key=lambda name: -measured[name]):
        if method != table.method:
            yield replace(table, method=method)
    best = min(attempts, key=lambda attempt: budget.loss(attempt.comparison)).table
    ranked = [block.layers for block in rank(best) if block.gain > 0]
    for count, layers in enumerate(accumulate(ranked), start=1):
        if count & (count - 1) == 0 or count == len(ranked):  # 1, 2, 4, 8 ... and all
            yield replace(best, high_precision=(*best.high_precision, *layers))


def _failure(attempts: Sequence[Attempt], budget: Budget) -> str:
    labelled = attempts[0].comparison.miou_drop is not None
    expected = (
        f"a loss of at most {100 * budget.miou_drop:.2f} points of mIoU"
        if labelled
        else f"at least {budget.agreement:.0%} of pixels as in FP32"
    )
    best = min(budget.loss(attempt.comparison) for attempt in attempts)
    reached = f"{100 * best:.2f} points" if labelled else f"{1 - best:.2%}"
    return (
        f"INT8 reached {reached} at best, expected {expected}; calibrate on other frames, "
        "allow more with --max-miou-drop, or fine-tune with 'train --qat'"
    )
