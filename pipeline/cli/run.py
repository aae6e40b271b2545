"""``run``: frames from sources through an engine to sinks."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.outcome import Outcome, hooks_of, is_quiet, step_bar
from pipeline.cli.signals import StopEvent, stop_on_signal
from pipeline.engine.manifest import Engine, Manifest, load_engine
from pipeline.errors import EngineError, IncompatibleEngineError
from pipeline.runtimes.cache import cache_folder
from pipeline.runtimes.openvino.instructions import cores
from pipeline.runtimes.registry import open_engine, open_session
from pipeline.runtimes.reload import WatchedSession
from pipeline.runtimes.session import Session
from pipeline.stream import StreamInput, StreamOptions, StreamReport, run_inputs
from pipeline.stream.overlay import OverlayOptions
from pipeline.stream.own_files import check_outputs
from pipeline.stream.palettes import drawn_classes, hidden_classes
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
        path = _engine_path(options)
        manifest, session = _open_engine(options, path)
        classes = manifest.classes
        drawn = drawn_classes(classes, options.palette)
        look = OverlayOptions(
            opacity=options.opacity,
            legend=not options.no_legend,
            fine_edges=options.fine_edges,
            hidden=hidden_classes(classes, options.show),
        )
        stack.enter_context(session)
        stop = stack.enter_context(stop_on_signal())
        page = _page(options, stack)
        shared = SinkOptions(
            classes=classes,
            force=options.force,
            page=page.sink if page is not None else None,
            segment=options.segment,
            keep=options.keep,
            drawn=drawn,
        )
        inputs = _open_inputs(options, shared)
        for one in inputs:  # closed by the stream, unless it does not come to that
            stack.callback(one.source.close)
            for sink in one.sinks:
                stack.callback(sink.close)
        trace = _trace(options, stack)
        if page is not None and "http" in options.sink and not options.quiet:
            print(f"the page is at {page.url}", file=sys.stderr, flush=True)
        report = run_inputs(
            session,
            inputs,
            StreamOptions(
                classes=drawn,
                frames=options.frames,
                stop=stop,
                progress=sys.stderr.isatty() and not is_quiet(options),
                trace=trace,
                smooth=options.smooth,
                overlay=look,
            ),
        )
        device = _device(session)
    outcome = _outcome(report, device, manifest, stop)
    if trace is not None and trace.problem is not None:
        outcome = replace(outcome, problems=(*outcome.problems, trace.problem))
    return outcome


def _outcome(report: StreamReport, device: str, manifest: Manifest, stop: StopEvent) -> Outcome:
    """Report the finished stream; lost frames are an error."""
    rate = "" if report.fps is None else f", {report.fps:.1f} fps"
    lines = [f"{device}, {manifest.precision.upper()}{rate}", *report.lines()]
    from models.weights import licence_of_weights  # imported late, so that the stream starts sooner

    terms = licence_of_weights(manifest.model, manifest.weights.sha256)
    if terms is not None:
        lines.append(f"weights of {manifest.model}: {terms}")
    document = {
        **report.to_json(),
        "device": device,
        "precision": manifest.precision,
        "weights_licence": terms,
    }
    cut_short = [one.source for one in report.sources if one.cut_short]
    if cut_short and stop.signal is not None:
        name = signal.Signals(stop.signal).name
        print(f"{name} ended {', '.join(cut_short)} before its end", file=sys.stderr)
    status = stop.status if cut_short else 0
    return Outcome(document, "\n".join(lines), tuple(report.problems), status)


def _device(session: Session) -> str:
    """Name the processor that computed."""
    if session.capabilities.runtime != "openvino":
        return session.capabilities.device
    count = cores()
    return f"{count} core{'' if count == 1 else 's'}"


def _engine_path(options: argparse.Namespace) -> Path:
    """Return the named engine, or a network's: an existing current one, or one built now."""
    path = Path(options.engine)
    is_network = not path.suffix and path.name == options.engine and not path.exists()
    if not is_network:
        if options.precision is not None:
            raise EngineError(
                f"--precision {options.precision} was given for the engine {path}, which has its "
                f"own; drop it, or give the name of a network (see 'roadseg models')"
            )
        return path
    # Imported here: running an engine does not need it.
    from pipeline.build.current import engine_of

    # Sources and sinks are checked before the build, which takes a minute.
    engine = engine_of(
        options.engine, options.precision, hooks_of(options, partial(_check_names, options))
    )
    return engine.path


def _check_names(options: argparse.Namespace) -> None:
    for text in options.sink:
        numbered(text, 1)
    for text in options.source:
        if not text.startswith(("stdin:", "-")):
            open_source(text, _source_options(options)).close()


def _open_engine(options: argparse.Namespace, path: Path) -> tuple[Manifest, Session]:
    if options.engine.startswith("triton://"):
        # Its client is imported only where one is asked for.
        from pipeline.runtimes.triton.session import open_triton

        return open_triton(options.engine)
    opening = partial(_open_or_rebuild, options)
    if options.watch:
        watched = WatchedSession(path, open_=opening)
        return watched.engine.manifest, watched
    engine, session = opening(path)
    return engine.manifest, session


def _open_or_rebuild(options: argparse.Namespace, path: Path) -> tuple[Engine, Session]:
    refused: EngineError
    try:
        engine = load_engine(path)
    except EngineError as error:  # missing or damaged
        refused = error
    else:
        try:
            return engine, open_session(engine, options.hint, cache_folder())
        except IncompatibleEngineError as error:  # a new build does not help with other failures
            refused = error
    if not options.rebuild:
        raise refused
    # Rarely needed, so a camera does not wait for it.
    from pipeline.build.from_bundle import rebuild_engine

    print(f"building the engine again: {refused}", file=sys.stderr, flush=True)
    with step_bar(quiet=is_quiet(options)) as progress:
        rebuild_engine(path, progress)
    return open_engine(path, options.hint, cache_folder())


def _page(options: argparse.Namespace, stack: ExitStack) -> Page | None:
    """Make one page for all cameras; it starts to listen when the first one needs it."""
    if not {"http", "window"}.intersection(options.sink):
        return None
    # Imported only where a page is needed.
    from pipeline.stream.web import HttpOptions, Page

    form = HttpOptions(options.http_host, options.http_port, options.http_token)
    return stack.enter_context(Page(form))


def _trace(options: argparse.Namespace, stack: ExitStack) -> Trace | None:
    if options.trace is None:
        return None
    target = OutputFile(options.trace, options.force)
    stack.callback(target.discard)  # runs after ``finish``; does nothing after a commit
    trace = Trace(target.partial, MARK)

    def finish() -> None:
        trace.close()
        if trace.used:
            target.commit()

    stack.callback(finish)
    return trace


def _open_inputs(options: argparse.Namespace, shared: SinkOptions) -> list[StreamInput]:
    """Open all sources and all sinks, or none: what was opened before a failure is closed."""
    wanted = _source_options(options)
    texts = options.sink or ["none"]
    with ExitStack() as opened:
        inputs: list[StreamInput] = []
        sources: list[Source] = []
        for number, text in enumerate(options.source, start=1):
            source = opened.enter_context(open_source(text, wanted))
            if source.name in {one.name for one in sources}:
                source.name = f"{source.name} ({number})"
            sources.append(source)
        check_outputs(sources, texts, [] if options.trace is None else [options.trace])
        for number, source in enumerate(sources, start=1):
            several = len(options.source) > 1
            names = [numbered(text, number) for text in texts] if several else texts
            own = replace(shared, source=source.name, fps=source.fps, live=source.live)
            sinks = open_sinks(names, own)
            for sink in sinks:
                opened.callback(sink.close)
            inputs.append(StreamInput(source, sinks))
        opened.pop_all()  # the stream closes them
        return inputs


def _source_options(options: argparse.Namespace) -> SourceOptions:
    return SourceOptions(
        realtime=options.realtime,
        retries=options.retries,
        camera=CameraOptions(options.camera_size, options.camera_fps, options.camera_format),
        start=options.start,
        every=options.every,
        loop=options.loop,
    )
