"""``bench``: speed of an engine on this machine, stage by stage, also as a JUnit report."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from contextlib import ExitStack
from xml.etree import ElementTree

from pipeline.cli.outcome import Outcome, is_quiet, step_bar
from pipeline.evaluation.layer_times import flame_chart, table
from pipeline.evaluation.profile.bench import BenchOptions, BenchReport, bench
from pipeline.runtimes.registry import open_engine
from pipeline.stream.sinks.output_file import MARK, OutputFile


def run(options: argparse.Namespace) -> Outcome:
    """Measure one engine on the drawn drive."""
    with ExitStack() as stack:
        return _run(options, stack)


def _run(options: argparse.Namespace, stack: ExitStack) -> Outcome:
    began = time.monotonic()
    chart = options.flame and OutputFile(options.flame, options.force)
    if chart is not None:
        stack.callback(chart.discard)
    junit = options.junit and OutputFile(options.junit, options.force)
    if junit is not None:
        stack.callback(junit.discard)
    wanted = BenchOptions(
        frame=options.frame,
        runs=options.runs,
        clip=options.clip,
        layers=options.layers or chart is not None,
        limit=not options.no_limit,
    )
    engine, session = open_engine(options.engine, options.hint, measuring=True)
    with session, step_bar(is_quiet(options)) as progress:
        report = bench(engine, session, wanted, progress)
    lines = report.lines()
    if options.layers:
        lines += ["", *table(report.layers or ())]
    if chart is not None:
        title = f"{report.engine.manifest.name} on {report.session.capabilities.device}"
        drawn = f"{flame_chart(report.layers or (), title)}<!-- {MARK} -->\n"
        chart.partial.write_text(drawn, encoding="utf-8")
        chart.commit()
        lines.append(f"wrote {chart.path}")
    problem = _too_slow(report, options.min_fps)
    if junit is not None:
        junit.partial.write_text(
            _junit(report, options.min_fps, time.monotonic() - began), encoding="utf-8"
        )
        junit.commit()
        lines.append(f"wrote {junit.path}")
    document = {**report.to_json(), "min_fps": options.min_fps}
    return Outcome(document, "\n".join(lines), () if problem is None else (problem,))


def _too_slow(report: BenchReport, least: float | None) -> str | None:
    if least is None or report.fps >= least:
        return None
    return (
        f"{report.engine.manifest.name} runs at {report.fps:.1f} frames per second here, expected "
        f"at least {least:g} (--min-fps); see bench --layers for the slow layers, or lower "
        f"--min-fps"
    )


def _junit(report: BenchReport, least: float | None, seconds: float) -> str:
    latency = report.latency.to_json()
    figures = {
        "fps": round(report.fps, 2),
        "min_fps": "none" if least is None else least,
        **{f"latency_ms_{name}": round(value, 3) for name, value in latency.items()},
        "precision": report.session.capabilities.precision,
        "device": report.session.capabilities.device,
        "made by": MARK,
    }
    problem = _too_slow(report, least)
    name = f"{report.engine.manifest.name}: frames per second"
    return _junit_report("roadseg bench", name, seconds, problem, figures)


def _junit_report(
    suite: str, case: str, seconds: float, problem: str | None, properties: Mapping[str, object]
) -> str:
    """Return a JUnit report of one test case; ``problem`` is why it failed, None if it passed."""
    counts = {"tests": "1", "failures": str(int(problem is not None)), "errors": "0"}
    timed = {"time": f"{seconds:.3f}"}
    top = ElementTree.Element("testsuites", counts | timed)
    inner = ElementTree.SubElement(top, "testsuite", {"name": suite} | counts | timed)
    kept = ElementTree.SubElement(inner, "properties")
    for name, value in properties.items():
        ElementTree.SubElement(kept, "property", {"name": name, "value": str(value)})
    tested = ElementTree.SubElement(inner, "testcase", {"classname": suite, "name": case} | timed)
    if problem is not None:
        ElementTree.SubElement(tested, "failure", {"message": problem}).text = problem
    ElementTree.indent(top)
    return ElementTree.tostring(top, encoding="unicode", xml_declaration=True) + "\n"
