"""The accuracy gate and the choice of ``auto``, on given comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from calibration.metrics.miou import Scores
from calibration.table import CalibrationTable, Site
from pipeline.build.auto_precision import Trial, choose
from pipeline.cli.tables import attempts_table
from pipeline.errors import AccuracyError, BuildError
from pipeline.evaluation.compare import Comparison, FrameAgreement
from pipeline.quantization.accuracy_gate import search
from pipeline.quantization.options import Budget
from pipeline.quantization.sensitivity import Sensitivity, blocks_of
from pipeline.runtimes.compile import check_int8


def compared(agreement: float, drop: float | None = None) -> Comparison:
    """Return a comparison with an agreement and, with labels, a loss of mIoU."""
    scores = None
    if drop is not None:
        scores = Scores(0.7, 0.9, {}, 4), Scores(0.7 - drop, 0.9, {}, 4)
    worst = FrameAgreement("frame", agreement)
    return Comparison(4, agreement, {}, worst, (), scores, speed=None)


def table(**changes: object) -> CalibrationTable:
    site = Site(0.0, 1.0, {"mse": {"int8": 1.0, "uint8": 1.0}}, {"mse": {"int8": 0, "uint8": 0}})
    measured = {"agreement_by_method": {"minmax": 0.90, "mse": 0.99, "entropy": 0.95}}
    start = CalibrationTable("segnet", {}, {"conv": site}, "mse", measured=measured)
    return replace(start, **changes)  # type: ignore[arg-type]


class Evaluator:
    """Returns given comparisons by method and layers, and records the calls."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[tuple[str | None, tuple[str, ...]]] = []

    def __call__(self, candidate: CalibrationTable) -> Comparison:
        self.asked.append((candidate.method, candidate.high_precision))
        comparison = self.answer(candidate)  # type: ignore[operator]
        assert isinstance(comparison, Comparison)
        return comparison


def never(best: CalibrationTable) -> Sequence[Sensitivity]:
    raise AssertionError("sensitivity is for those who need it")


RANKED = [Sensitivity(name, (name,), 0.01) for name in "abcdef"]


def test_a_table_that_holds_is_judged_once() -> None:
    evaluator = Evaluator(lambda candidate: compared(0.985, drop=0.001))
    attempts = search(table(), evaluator, Budget(), never)
    assert evaluator.asked == [("mse", ())]
    assert attempts[-1].table.method == "mse"


def test_another_observer_is_tried_first_and_the_better_one_first() -> None:
    evaluator = Evaluator(
        lambda candidate: compared(0.99, drop=0.0 if candidate.method == "minmax" else 1)
    )
    attempts = search(table(), evaluator, Budget(), never)
    assert [method for method, _ in evaluator.asked] == ["mse", "entropy", "minmax"]
    assert attempts[-1].table.method == "minmax"


def test_then_ever_more_sensitive_layers_go_back_to_floating_point() -> None:
    def answer(candidate: CalibrationTable) -> Comparison:
        enough = len(candidate.high_precision) >= 4
        return compared(0.99, drop=0.004 if enough else 0.02 + (candidate.method == "mse"))

    evaluator = Evaluator(answer)
    attempts = search(table(), evaluator, Budget(), lambda best: RANKED)
    # The best attempt, which is not mse here, is continued with 1, 2 and 4 layers.
    assert evaluator.asked[3:] == [
        ("entropy", ("a",)),
        ("entropy", ("a", "b")),
        ("entropy", ("a", "b", "c", "d")),
    ]
    assert attempts[-1].table.high_precision == ("a", "b", "c", "d")


def test_layers_that_gain_nothing_are_never_put_back() -> None:
    ranked = [RANKED[0], replace(RANKED[1], gain=0.0), replace(RANKED[2], gain=-0.1)]
    evaluator = Evaluator(lambda candidate: compared(0.5, drop=0.5))
    with pytest.raises(AccuracyError):
        search(table(), evaluator, Budget(), lambda best: ranked)
    assert evaluator.asked[-1] == ("mse", ("a",))


def test_what_cannot_hold_is_refused_with_the_table_of_attempts() -> None:
    evaluator = Evaluator(lambda candidate: compared(0.9, drop=0.0123))
    with pytest.raises(AccuracyError) as failure:
        search(table(), evaluator, Budget(), lambda best: RANKED)
    first, rows = str(failure.value), attempts_table(failure.value.attempts).splitlines()
    assert "reached 1.23 points at best" in first
    assert "at most 0.50 points of mIoU" in first
    assert "--max-miou-drop" in first
    assert len(rows) == 2 + len(evaluator.asked)
    assert "| mse | 6 | 90.00% | 1.23 |" in rows


def test_without_labels_agreement_decides() -> None:
    assert Budget().holds(compared(0.98))
    assert not Budget().holds(compared(0.9799))
    assert Budget(miou_drop=0.01).holds(compared(0.5, drop=0.0099))
    with pytest.raises(AccuracyError, match=r"reached 97.00% at best, expected at least 98%"):
        search(table(), Evaluator(lambda candidate: compared(0.97)), Budget(), lambda best: [])


def test_convolutions_that_are_not_int8_fail_the_build_by_name() -> None:
    found = {"a": "int8", "b": "fp32"}
    check_int8(("a",), found, "openvino")
    with pytest.raises(BuildError, match=r"2 of 3 .* b \(fp32\), c \(not found\)"):
        check_int8(("a", "b", "c"), found, "openvino")


@pytest.mark.parametrize("most", [1, 2, 5, 100])
def test_blocks_hold_every_layer_once_and_are_as_many_as_allowed(most: int) -> None:
    layers = (*(f"encoder.{i}.{j}.conv" for i in range(5) for j in range(4)), "head")
    blocks = blocks_of(layers, most)
    assert sorted(sum(blocks.values(), ())) == sorted(layers)
    assert len(blocks) == {1: 2, 2: 2, 5: 2, 100: 21}[most]
    assert all(name in layer for name, members in blocks.items() for layer in members)


def trial(precision: str, latency: float, comparison: Comparison | None = None) -> Trial:
    return Trial(precision, latency_ms=latency, comparison=comparison)


def test_auto_takes_the_fastest_that_is_accurate_enough_and_says_why() -> None:
    tried = [
        trial("fp32", 100.0),
        trial("bf16", 40.0, compared(0.99, drop=0.001)),
        trial("int8", 30.0, compared(0.95, drop=0.02)),
        Trial("fp16", reason="no table"),
    ]
    best, why = choose(tried, Budget())
    assert best.precision == "bf16"
    assert "bf16 is the fastest that is accurate enough: 40.0 ms" in why
    assert "int8 lost too much: 30.0 ms, +2.00 points" in why
    assert "fp16 was not built (no table)" in why
    assert "\n" not in why
    assert choose(tried, Budget(miou_drop=0.03))[0].precision == "int8"


def test_auto_keeps_fp32_where_nothing_else_is_accurate() -> None:
    tried = [trial("fp32", 100.0), trial("int8", 1.0, compared(0.5))]
    assert choose(tried, Budget())[0].precision == "fp32"


def test_a_table_says_what_was_measured_with_it(tmp_path: Path) -> None:
    table().save(tmp_path / "table.json")
    assert '"agreement_by_method"' in (tmp_path / "table.json").read_text()
