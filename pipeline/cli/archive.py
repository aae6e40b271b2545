"""``archive``: recordings into a table, on Ray."""

from __future__ import annotations

import argparse
import sys

from pipeline.cli.outcome import Outcome, is_quiet
from pipeline.engine.manifest import load_engine
from pipeline.errors import RuntimeMissingError


def run(options: argparse.Namespace) -> Outcome:
    """Archive until every source is done or known to be unreadable."""
    engine = load_engine(options.engine)
    try:
        from pipeline.stream.archive.estimate import estimate
        from pipeline.stream.archive.job import ArchiveOptions, archive
        from pipeline.stream.archive.places import expand
        from pipeline.stream.archive.worker import Work
    except ImportError as error:
        raise RuntimeMissingError(
            f"archive needs the packages of the extra 'archive' ({error}); run: "
            "pip install 'ray[data]' pyarrow, or install roadseg[archive]"
        ) from error

    sources = expand(options.source)
    work = Work(
        engine=engine.path.resolve(),
        classes=engine.manifest.classes,
        every=options.every,
        masks=options.masks,
        overlay=options.overlay,
    )
    if options.dry_run:
        found = estimate(sources, work, options.workers)
        return Outcome(found.to_json(), "\n".join(found.lines()), tuple(found.problems))
    report = archive(
        sources,
        engine.manifest,
        work,
        ArchiveOptions(
            output=options.output.resolve(),
            address=options.ray,
            workers=options.workers,
            progress=sys.stderr.isatty() and not is_quiet(options),
        ),
    )
    document = {**report.to_json(), "report": str(report.path)}
    return Outcome(document, "\n".join(report.lines()), tuple(report.problems))
