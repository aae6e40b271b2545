"""``run``: frames from a source through an engine to sinks."""

from __future__ import annotations

import argparse
import sys

from models.errors import RoadsegError
from pipeline.cli.outcome import Outcome
from pipeline.interrupt import stop_on_signal
from pipeline.sessions import open_engine
from pipeline.sinks import SinkOptions, open_sinks
from pipeline.sources import SourceOptions, open_source
from pipeline.stream import StreamOptions
from pipeline.stream import run as run_stream


def run(options: argparse.Namespace) -> Outcome:
    """Stream until the source ends, ``--frames`` are shown, or a signal stops it."""
    engine, session = open_engine(options.engine)
    classes = engine.manifest.classes
    with session, stop_on_signal() as stop:
        source = open_source(options.source, SourceOptions(realtime=options.realtime))
        try:
            sinks = open_sinks(
                options.sink or ["none"],
                SinkOptions(
                    classes=classes,
                    source=source.name,
                    fps=source.fps,
                    live=source.live,
                    force=options.force,
                ),
            )
        except RoadsegError:
            source.close()
            raise
        show_bar = sys.stderr.isatty() and not options.json
        report = run_stream(
            session,
            source,
            sinks,
            StreamOptions(classes=classes, frames=options.frames, stop=stop, progress=show_bar),
        )
    # The outputs are finished; what was lost on the way is still an error.
    return Outcome(report.to_json(), "\n".join(report.lines()), tuple(report.problems))
