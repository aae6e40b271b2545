"""Figures of a run against a baseline: what is worse, what is missing, what is better."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.gate.baseline import Baseline, Expected, Figure, Record, Subject, limit_of
from pipeline.gate.measure import Measured

#: Measures the figures of these names again.
MeasureAgain = Callable[[Collection[str]], Measured]


@dataclass(frozen=True)
class Finding:
    """What became of one figure.

    Attributes:
        name: of the figure.
        expected: None where the baseline does not know it.
        found: None where the run did not measure it.
        again: the second measurement of what failed at first.
        excuse: why it could not be measured, now or for the baseline; empty where it could.
    """

    name: str
    expected: Expected | None
    found: Figure | None
    again: Figure | None = None
    excuse: str = ""

    @property
    def loss(self) -> float | None:
        """Change for the worse, as the kind counts it; the smaller one of two measurements."""
        if self.expected is None or self.found is None:
            return None
        losses = [_loss(self.expected.figure, one) for one in (self.found, self.again) if one]
        return min(losses)

    @property
    def _excused(self) -> bool:
        return bool(self.excuse) and (self.found is None or self.expected is None)

    @property
    def passes(self) -> bool:
        """Known, and not worse than allowed, or for a good reason not measured."""
        loss = self.loss
        if self._excused:
            return True
        return loss is not None and self.expected is not None and loss <= self.expected.limit

    def words(self) -> str:
        """Say it in one line."""
        if self._excused:
            return f"{self.name}: not judged, {self.excuse}"
        if self.expected is None:
            return f"{self.name}: not in the baseline; record it with --update --reason TEXT"
        if self.found is None:
            return (
                f"{self.name}: in the baseline, not in this run; restore it, or record with"
                " --update --reason TEXT why it is gone"
            )
        best = self.again if self.again and self._better_again() else self.found
        loss = self.loss or 0.0
        sign = "lost" if loss > 0 else "gained"
        retried = " in both of two measurements" if self.again else ""
        return (
            f"{self.name}: {_shown(self.expected.figure)} -> {_shown(best)}, {sign} "
            f"{abs(loss):.1%}{retried}, allowed {self.expected.limit:.1%}"
        )

    def _better_again(self) -> bool:
        assert self.expected is not None
        assert self.found is not None
        assert self.again is not None
        expected = self.expected.figure
        return _loss(expected, self.again) < _loss(expected, self.found)


def judge(baseline: Baseline, run: Measured, measure_again: MeasureAgain) -> list[Finding]:
    """Compare a run with its baseline; what is too slow is measured once more.

    Args:
        baseline: what is expected.
        run: what was measured.
        measure_again: called once, with the names of the figures that are worse than allowed, if
            there are any; a loss counts only when it is there both times.
    """
    names = sorted({*baseline.figures, *baseline.unmeasured, *run.figures, *run.unmeasured})
    findings = [_finding(name, baseline, run) for name in names]
    doubtful = [one.name for one in findings if one.loss is not None and not one.passes]
    if not doubtful:
        return findings
    again = measure_again(doubtful).figures
    return [
        replace(one, again=again.get(one.name)) if one.name in doubtful else one for one in findings
    ]


def _finding(name: str, baseline: Baseline, run: Measured) -> Finding:
    unrecorded = baseline.unmeasured.get(name)
    excuse = f"not recorded: {unrecorded}" if unrecorded else run.unmeasured.get(name, "")
    return Finding(name, baseline.figures.get(name), run.figures.get(name), excuse=excuse)


def record(
    subject: Subject,
    runs: Sequence[Measured],
    before: Baseline | None,
    label: Mapping[str, str],
    unmeasured: Mapping[str, str] | None = None,
) -> Baseline:
    """Make a baseline of repeated runs: medians, their spread, and the limit that follows from it.

    Args:
        subject: what was measured.
        runs: repeated measurements; on a busy machine not each has every figure.
        before: what stood there; its history is kept.
        label: ``recorded`` (date), ``commit`` and ``reason``.
        unmeasured: figures that are left out, and why.
    """
    names = dict.fromkeys(name for run in runs for name in run.figures)
    expected = {
        name: _expected([run.figures[name] for run in runs if name in run.figures])
        for name in names
    }
    values = {name: one.figure.value for name, one in expected.items()}
    history = () if before is None else before.history
    history = (*history, Record(**label, values=values))
    return Baseline(subject, expected, history, unmeasured or {})


def _expected(figures: Sequence[Figure]) -> Expected:
    kind = figures[0].kind
    middle = statistics.median(figure.value for figure in figures)
    usual = Figure(kind, _rounded(middle))
    spread = round(max(abs(_loss(usual, figure)) for figure in figures), 4)
    times = [figure.ms for figure in figures if figure.ms is not None]
    ms = round(statistics.median(times), 2) if times else None
    return Expected(Figure(kind, usual.value, ms), spread, limit_of(kind, spread))


def _loss(expected: Figure, found: Figure) -> float:
    if expected.kind == "share":
        return expected.value - found.value
    return found.value / max(expected.value, 1e-9) - 1


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def _shown(figure: Figure) -> str:
    if figure.kind == "share":
        return f"{figure.value:.2%}"
    if figure.kind == "bytes":
        return f"{figure.value:,.0f} bytes"
    ms = "" if figure.ms is None else f" ({figure.ms:.1f} ms)"
    return f"{figure.value:.2f} x reference{ms}"
