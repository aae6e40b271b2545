"""``bench``: how fast an engine is on this machine, and where its time goes."""

from __future__ import annotations

import argparse
from contextlib import ExitStack

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
    chart = options.flame and OutputFile(options.flame, options.force)
    if chart is not None:
        stack.callback(chart.discard)
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
        chart.partial.write_text(_chart(report), encoding="utf-8")
        chart.commit()
        lines.append(f"wrote {chart.path}")
    return Outcome(report.to_json(), "\n".join(lines))


def _chart(report: BenchReport) -> str:
    title = f"{report.engine.manifest.name} on {report.session.capabilities.device}"
    return f"{flame_chart(report.layers or (), title)}<!-- {MARK} -->\n"
