"""``--precision auto``: build every precision, measure them, keep the fastest accurate one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import Engine
from pipeline.engine.publish import build_folder, publish, writable
from pipeline.engine.replace import Origin, check_replaceable
from pipeline.errors import RoadsegError, RuntimeMissingError
from pipeline.evaluation.ab_timing import take_turns
from pipeline.evaluation.compare import Comparison, Picture, compare_sessions
from pipeline.evaluation.pictures import drawn_frame, open_pictures
from pipeline.progress import Progress
from pipeline.quantization.options import Budget
from pipeline.runtimes.registry import SESSIONS, missing, open_compiler, open_session
from pipeline.stream.frame import Frame

#: Frames of the synthetic drive to compare on where no pictures are given.
DRAWN_FRAMES = range(0, 480, 60)
#: Most pictures of a calibration folder to compare on, evenly spread.
MOST_PICTURES = 32
#: Timed runs of each engine.
ROUNDS = 25
#: Precisions in order of preference where they are equally fast.
ORDER = ("fp32", "fp16", "bf16", "int8")


@dataclass(frozen=True)
class Trial:
    """One precision that was tried.

    Attributes:
        precision: that the compiler was asked for.
        engine: None where it could not be built.
        reason: why it could not be built; empty where it was.
        latency_ms: median of runs in turn with the other engines.
        comparison: with FP32.
    """

    precision: str
    engine: Engine | None = None
    reason: str = ""
    latency_ms: float | None = None
    comparison: Comparison | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the manifest."""
        comparison = self.comparison
        return {
            "precision": self.precision,
            "latency_ms": self.latency_ms,
            "pixel_agreement": None if comparison is None else comparison.pixel_agreement,
            "miou_drop": None if comparison is None else comparison.miou_drop,
            "reason": self.reason,
        }


def build_fastest(options: BuildOptions, progress: Progress) -> Engine:
    """Build every precision, compare each with FP32, and publish the fastest accurate engine.

    Engines that lose more than the INT8 budget are left out. The engines run in turn, so that other
    load on the machine slows all of them alike.

    Raises:
        RuntimeMissingError: engines of this runtime cannot be run and measured here.
        RoadsegError: FP32 cannot be built.
    """
    reason = missing(options.runtime)
    if reason is not None:
        able = ", ".join(runtime for runtime in SESSIONS if missing(runtime) is None)
        raise RuntimeMissingError(
            f"--precision auto measures what it builds, and this machine cannot run "
            f"{options.runtime} engines ({reason}); name a precision, or build for {able}"
        )
    compiler = open_compiler(options.runtime)
    asked = [precision for precision in ORDER if precision in compiler.computed()]
    with writable(options.output), build_folder(options.output) as scratch:
        tried = [
            _built(replace(options, precision=name, output=scratch / name), progress)
            for name in asked
        ]
        tried = _measured(tried, options, progress)
        chosen, why = choose(tried, options.budget)
        assert chosen.engine is not None
        manifest = chosen.engine.manifest
        origin = Origin.of(manifest)
        check_replaceable(options.output, manifest.name, compiler.suffixes, options.force, origin)
        auto = {"why": why, "tried": [trial.to_json() for trial in tried]}
        manifest = replace(manifest, settings={**manifest.settings, "auto": auto})
        return publish(replace(chosen.engine, manifest=manifest), options.output)


def choose(tried: Sequence[Trial], budget: Budget) -> tuple[Trial, str]:
    """Return the fastest trial within ``budget``, as FP32 always is, and one line that says why."""
    runs = [one for one in tried if one.latency_ms is not None]
    good = [one for one in runs if one.comparison is None or budget.holds(one.comparison)]
    best = min(good, key=lambda one: one.latency_ms or 0.0)
    notes = [f"{best.precision} is the fastest that is accurate enough: {_figures(best)}"]
    notes += [
        f"{one.precision} {_figures(one) if one in good else 'lost too much: ' + _figures(one)}"
        for one in runs
        if one is not best
    ]
    notes += [f"{one.precision} was not built ({one.reason})" for one in tried if one.reason]
    return best, "; ".join(notes)


def _figures(trial: Trial) -> str:
    comparison = trial.comparison
    text = f"{trial.latency_ms:.1f} ms"
    if comparison is None:
        return text
    if comparison.miou_drop is not None:
        return f"{text}, {100 * comparison.miou_drop:+.2f} points of mIoU lost"
    return f"{text}, {comparison.pixel_agreement:.2%} of pixels as in FP32"


def _built(options: BuildOptions, progress: Progress) -> Trial:
    assert options.precision is not None

    def report(what: str, share: float) -> None:
        progress(f"{options.precision}: {what}", share)

    try:
        return Trial(options.precision, build(options, report))
    except RoadsegError as error:
        if options.precision == ORDER[0]:
            raise
        return Trial(options.precision, reason=str(error).splitlines()[0])


def _measured(tried: Sequence[Trial], options: BuildOptions, progress: Progress) -> list[Trial]:
    """Run all engines that were built: latency in turn, then accuracy against the first, FP32."""
    engine = tried[0].engine
    assert engine is not None
    built = [one for one in tried if one.engine is not None]
    measured = {one.precision: one for one in tried}
    with ExitStack() as stack:
        sessions = [
            stack.enter_context(open_session(one.engine, measuring=True))
            for one in tried
            if one.engine is not None
        ]
        progress("measuring in turn", 0.0)
        latencies = take_turns(sessions, drawn_frame(engine.manifest.input, 0), ROUNDS)
        for place, (one, session) in enumerate(zip(built, sessions, strict=True)):
            progress(f"accuracy of {one.precision}", place / len(built))
            comparison = None
            if place:
                pictures, classes = _pictures(options, engine), engine.manifest.classes
                comparison = compare_sessions(
                    sessions[0], session, pictures, classes, measure=False
                )
            latency = latencies[place].p50
            measured[one.precision] = replace(one, latency_ms=latency, comparison=comparison)
    return list(measured.values())


def _pictures(options: BuildOptions, engine: Engine) -> Iterable[Picture]:
    """Pictures of ``--data`` if given, else those of the calibration folder, else drawn ones."""
    manifest = engine.manifest
    if options.data is not None:
        return open_pictures(options.data, manifest.classes).pictures
    if options.calibration is not None and options.calibration.is_dir():
        return open_pictures(options.calibration, manifest.classes, MOST_PICTURES).pictures
    drawn = ((index, drawn_frame(manifest.input, index)[0]) for index in DRAWN_FRAMES)
    return (Frame(image, index, 0.0, str(index)) for index, image in drawn)
