"""The accuracy gate: an INT8 engine holds its budget, gets help until it does, or is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from calibration.table import CalibrationTable
from pipeline.errors import AccuracyError
from pipeline.evaluation.compare import Comparison
from pipeline.quantization.options import Budget

if TYPE_CHECKING:  # needs torch, for which those who only ask for the budget need not wait
    from pipeline.quantization.sensitivity import Sensitivity


@dataclass(frozen=True)
class Attempt:
    """One table, with its method and its layers in high precision, and what came of it."""

    table: CalibrationTable
    comparison: Comparison

    def to_json(self) -> dict[str, Any]:
        """Return what was tried and what came of it, as it stands in manifests."""
        return {
            "method": self.table.method,
            "high_precision": list(self.table.high_precision),
            "pixel_agreement": self.comparison.pixel_agreement,
            "miou_drop": self.comparison.miou_drop,
        }


#: Builds a table's choice and compares it with FP32 on the evaluator's frames.
Evaluator = Callable[[CalibrationTable], Comparison]


def search(
    table: CalibrationTable,
    evaluator: Evaluator,
    budget: Budget,
    rank: Callable[[CalibrationTable], Sequence[Sensitivity]],
) -> list[Attempt]:
    """Return all attempts; the last one holds the budget.

    Tried in order: the table as it is; the other methods, best first by what calibration measured;
    then the best of these with ever more of its most sensitive layers in high precision.

    Raises:
        AccuracyError: nothing held the budget; it has the table of attempts.
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
