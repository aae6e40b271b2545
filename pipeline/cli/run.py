"""``run``: frames from sources through an engine to sinks."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from models.classes import ClassSet
from pipeline.cli.outcome import Outcome, step_bar
from pipeline.cli.signals import stop_on_signal
from pipeline.engine.manifest import Engine, load_engine
from pipeline.errors import EngineError, IncompatibleEngineError
from pipeline.runtimes.cache import cache_folder
from pipeline.runtimes.registry import open_engine, open_session
from pipeline.runtimes.reload import WatchedSession
from pipeline.runtimes.session import Session
from pipeline.stream import StreamInput, StreamOptions, run_inputs
from pipeline.stream.overlay import OverlayOptions
from pipeline.stream.sinks import SinkOptions, numbered, open_sinks
from pipeline.stream.sinks.output_file import MARK, OutputFile
from pipeline.stream.sources import Source, SourceOptions, open_source
from pipeline.stream.sources.base import CameraOptions
from pipeline.stream.trace import Trace

if TYPE_CHECKING:
    from pipeline.stream.web import Page


def run(options: argparse.Namespace) -> Outcome:
    """Stream until the sources end, ``--frames`` are shown, or a signal stops it."""
    with ExitStack() as stack:
        classes, session = _open_engine(options)
        stack.enter_context(session)
        stop = stack.enter_context(stop_on_signal())
        page = _page(options, stack)
        shared = SinkOptions(
            classes=classes,
            force=options.force,
            page=page.sink if page is not None else None,
            segment=options.segment,
            keep=options.keep,
        )
        trace = _trace(options, stack)
        inputs = _open_inputs(options, shared)
        if page is not None and "http" in options.sink:
            print(f"the page is at {page.url}", file=sys.stderr, flush=True)
        report = run_inputs(
            session,
            inputs,
            StreamOptions(
                classes=classes,
                frames=options.frames,
                stop=stop,
                progress=sys.stderr.isatty() and not options.json,
                trace=trace,
                smooth=options.smooth,
                overlay=OverlayOptions(fine_edges=options.fine_edges),
            ),
        )
    # The outputs are finished; what was lost on the way is still an error.
    problems = (*report.problems, trace.problem) if trace and trace.problem else report.problems
    return Outcome(report.to_json(), "\n".join(report.lines()), tuple(problems))


def _open_engine(options: argparse.Namespace) -> tuple[ClassSet, Session]:
    opening = partial(_open_or_rebuild, options)
    if options.watch:
        watched = WatchedSession(options.engine, open_=opening)
        return watched.engine.manifest.classes, watched
    engine, session = opening(options.engine)
    return engine.manifest.classes, session


def _open_or_rebuild(options: argparse.Namespace, path: Path) -> tuple[Engine, Session]:
    refused: EngineError
    try:
        engine = load_engine(path)
    except EngineError as error:  # missing or damaged
        refused = error
    else:
        try:
            return engine, open_session(engine, options.hint, cache_folder())
        except IncompatibleEngineError as error:  # of other failures building is no cure
            refused = error
    if not options.rebuild:
        raise refused
    # Rarely needed, and a camera should not wait for it.
    from pipeline.build.from_bundle import rebuild_engine

    print(f"building the engine again: {refused}", file=sys.stderr, flush=True)
    with step_bar(quiet=options.json) as progress:
        rebuild_engine(path, progress)
    return open_engine(path, options.hint, cache_folder())


def _page(options: argparse.Namespace, stack: ExitStack) -> Page | None:
    """One page for all cameras; it listens when the first of them needs it."""
    if not {"http", "window"}.intersection(options.sink):
        return None
    # A server is imported only where one is needed.
    from pipeline.stream.web import HttpOptions, Page

    form = HttpOptions(options.http_host, options.http_port, options.http_token)
    return stack.enter_context(Page(form))


def _trace(options: argparse.Namespace, stack: ExitStack) -> Trace | None:
    if options.trace is None:
        return None
    target = OutputFile(options.trace, options.force)
    stack.callback(target.discard)  # after the others, so only where nothing was traced
    trace = Trace(target.partial, MARK)

    def finish() -> None:
        trace.close()
        if trace.used:
            target.commit()

    stack.callback(finish)
    return trace


def _open_inputs(options: argparse.Namespace, shared: SinkOptions) -> list[StreamInput]:
    """Open all sources and all sinks, or none: what was opened before a failure is closed."""
    wanted = SourceOptions(
        realtime=options.realtime,
        retries=options.retries,
        camera=CameraOptions(options.camera_size, options.camera_fps, options.camera_format),
    )
    texts = options.sink or ["none"]
    with ExitStack() as opened:
        inputs: list[StreamInput] = []
        for number, text in enumerate(options.source, start=1):
            source = opened.enter_context(open_source(text, wanted))
            if source.name in {stream_input.source.name for stream_input in inputs}:
                source.name = f"{source.name} ({number})"
            several = len(options.source) > 1
            names = [numbered(text, number) for text in texts] if several else texts
            sinks = open_sinks(names, _for_source(shared, source))
            for sink in sinks:
                opened.callback(sink.close)
            inputs.append(StreamInput(source, sinks))
        opened.pop_all()  # the stream closes them
        return inputs


def _for_source(shared: SinkOptions, source: Source) -> SinkOptions:
    return replace(shared, source=source.name, fps=source.fps, live=source.live)
