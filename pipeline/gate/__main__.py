"""``scripts/check_fps.sh``: measure, and compare with what was recorded."""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from models.atomic import atomic_path
from models.errors import RoadsegError
from pipeline.errors import BenchmarkError
from pipeline.gate.baseline import FOLDER, Subject, read_baseline, read_file, write_baseline
from pipeline.gate.engines import gate_engines
from pipeline.gate.history import history_page
from pipeline.gate.judge import Finding, judge, record
from pipeline.gate.measure import Measured, Suite
from pipeline.gate.suites import engine_suite, stage_suite
from pipeline.runtimes.probe import PROBES, probe_for

log = logging.getLogger("pipeline.gate")

NETWORKS = ("segnet_lite", "deeplab_v3plus_lite")
#: ``none`` is what stands around the engine.
PRECISIONS = ("none", "int8", "fp32", "fp16", "bf16")
#: What CI has minutes for.
USUAL = ("none", "int8")
PASSED, FAILED, NO_BASELINE = 0, 1, 3
#: Runs of which a baseline is made: their spread decides what may be lost.
_REPEATS = 5
_ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the gate; return its exit status."""
    options = _options(arguments)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    for name in ("torchao", "torch.utils._pytree"):  # warn of CUDA parts and of their own types
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        if options.history is not None:
            return _draw(options)
        statuses = []
        for precision in options.precision or USUAL:
            with _suite(precision, options) as suite:
                if options.update:
                    _record(suite, options)
                    statuses.append(PASSED)
                else:
                    statuses.append(_check(suite, options))
        return FAILED if FAILED in statuses else max(statuses)
    except RoadsegError as error:
        log.error("error: %s", error)
        return FAILED


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/check_fps.sh", description=__doc__)
    parser.add_argument(
        "--precision",
        action="append",
        choices=PRECISIONS,
        help="default: none (what stands around the engine) and int8; may be repeated",
    )
    parser.add_argument(
        "--runtime", choices=tuple(PROBES), default="openvino", help="default: %(default)s"
    )
    parser.add_argument("--update", action="store_true", help="record what is measured")
    parser.add_argument(
        "--busy",
        action="store_true",
        help="with --update: leave out, by name, what only a quiet machine can measure",
    )
    parser.add_argument("--reason", metavar="TEXT", help="with --update: why; lands in the file")
    parser.add_argument(
        "--runs", type=int, default=1, metavar="N", help="check N times; all have to pass"
    )
    parser.add_argument(
        "--baselines", type=Path, default=FOLDER, metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--engines", type=Path, default=_ROOT / "outputs" / "fps", metavar="DIR",
        help="where built engines are kept; default: outputs/fps",
    )  # fmt: skip
    parser.add_argument(
        "--history", type=Path, metavar="HTML", help="draw what was recorded, measure nothing"
    )
    options = parser.parse_args(arguments)
    if options.update and not (options.reason or "").strip():
        parser.error("--update needs --reason TEXT: why may these figures change?")
    if options.busy and not options.update:
        parser.error("--busy belongs to --update")
    if options.runs < 1:
        parser.error("--runs takes a whole number from 1")
    return options


@contextmanager
def _suite(precision: str, options: argparse.Namespace) -> Iterator[Suite]:
    if precision == "none":
        with stage_suite() as suite:
            yield suite
        return

    def step(what: str, _share: float) -> None:
        log.info("%s", what)

    probe = probe_for(options.runtime)  # before minutes of building: without a GPU this is the end
    assert probe is not None
    engines = gate_engines(NETWORKS, options.runtime, precision, options.engines, step)
    with engine_suite(engines, precision, probe) as suite:
        yield suite


def _check(suite: Suite, options: argparse.Namespace) -> int:
    subject = suite.recorded_as
    baseline = read_baseline(options.baselines, subject)
    if baseline is None:
        _say_unjudged(suite, options.baselines)
        return NO_BASELINE
    failures = 0
    for number in range(options.runs):
        findings = judge(baseline, suite.measure(), suite.measure)
        which = f" run {number + 1}" if options.runs > 1 else ""
        failures += _report(baseline.subject, findings, which)
    if options.runs > 1:
        log.info("%d of %d runs passed", options.runs - failures, options.runs)
    return FAILED if failures else PASSED


def _say_unjudged(suite: Suite, folder: Path) -> None:
    """Name the baseline of another processor model, where there is one, and how to record one.

    An unchanged tree failed against figures of Zen 4 on Zen 5, which has the same instruction sets:
    two models differ in how much faster they are at convolutions than at the reference load.
    """
    subject, other = suite.recorded_as, suite.subject
    there_is = ""
    if other != subject and (folder / other.file).exists():
        there_is = f" (that of {other.machine} is of another processor model, so not judged)"
    log.error(
        "error: no baseline for %s%s; record one on this machine with: scripts/check_fps.sh "
        '--update%s --precision %s --reason "first figures of %s"',
        subject.file.removesuffix(".json"),
        there_is,
        "" if subject.runtime in {"openvino", "opencv"} else f" --runtime {subject.runtime}",
        subject.precision,
        subject.machine,
    )


def _report(subject: Subject, findings: Sequence[Finding], which: str) -> bool:
    """Log what was found; True when something failed."""
    log.info("%s%s", subject.file.removesuffix(".json"), which)
    for one in findings:
        log.info("  %s %s", "ok  " if one.passes else "FAIL", one.words())
    return not all(one.passes for one in findings)


def _record(suite: Suite, options: argparse.Namespace) -> None:
    """Write a baseline of repeated runs in which every figure was measured often enough.

    Raises:
        BenchmarkError: one was not, or cannot be.
    """
    if suite.unmeasured:
        raise BenchmarkError(
            "a baseline holds every figure, and some cannot be measured here: "
            f"{_and_why(suite.unmeasured)}; set ROADSEG_DATA (README, Road data)"
        )
    left_out = dict.fromkeys(suite.of_the_clock if options.busy else (), "on a busy machine")
    wanted = suite.of_any_machine if options.busy else None
    runs: list[Measured] = []
    for number in range(3 * _REPEATS):
        lacking = _lacking(runs)
        if runs and not lacking:
            break
        log.info("%s: run %d, %d figures lack", suite.recorded_as.file, number + 1, len(lacking))
        runs.append(suite.measure(lacking or wanted).without(left_out))
    if lacking := _lacking(runs):
        raise BenchmarkError(
            f"each figure is needed {_REPEATS} times in {3 * _REPEATS} runs; not measured often "
            f"enough: {_and_why(lacking)}; record on a quiet machine, or with --busy"
        )
    label = {
        "recorded": date.today().isoformat(),
        "commit": _commit(),
        "reason": " ".join(options.reason.split()),
    }
    before = read_baseline(options.baselines, suite.recorded_as)
    baseline = record(suite.recorded_as, runs, before, label, left_out)
    log.info("wrote %s", write_baseline(options.baselines, baseline))


def _lacking(runs: Sequence[Measured]) -> dict[str, str]:
    """Return figures that too few runs could measure, and why."""
    why = {name: reason for run in runs for name, reason in run.unmeasured.items()}
    count = Counter(name for run in runs for name in run.figures)
    return {
        name: why.get(name, "too few runs")
        for name in sorted({*why, *count})
        if count[name] < _REPEATS
    }


def _and_why(figures: Mapping[str, str]) -> str:
    return "; ".join(f"{name} ({why})" for name, why in figures.items())


def _commit() -> str:
    """Return the commit that is measured, with ``+`` where files differ from it."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=7", "--exclude=*", "--dirty=+"],
            cwd=_ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def _draw(options: argparse.Namespace) -> int:
    baselines = [read_file(path) for path in sorted(options.baselines.glob("*.json"))]
    with atomic_path(options.history) as temporary:
        temporary.write_text(history_page(baselines), encoding="utf-8")
    log.info("wrote %s", options.history)
    return PASSED


if __name__ == "__main__":
    sys.exit(main())
