"""From a network to a verified engine with its manifest, or to a bundle for another machine.

The steps: resolve, lower (export and quantise), compile, verify, publish. Each takes the result of
the one before. ``docs/architecture.md`` follows an option through them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pipeline.build.bundle import onnx_convolutions, write_bundle
from pipeline.build.lower import Lowered, lower
from pipeline.build.options import BuildOptions
from pipeline.build.resolve import Plan, resolve
from pipeline.build.verify import verify
from pipeline.engine.manifest import Engine
from pipeline.engine.publish import build_folder, publish, writable
from pipeline.progress import Progress
from pipeline.runtimes.compile import assemble, described
from pipeline.runtimes.compiler import Compiled, Job


def build(options: BuildOptions, progress: Progress) -> Engine:
    """Build an engine, read its layers back, compare it with PyTorch, and then publish it.

    Raises:
        RoadsegError: anything a user can cause; no file is left half-written then.
    """
    with _prepared(options, progress) as (plan, lowered, job):
        engine = assemble(job, plan.compiler, plan.spec, plan.weights, progress)
        measured = verify(engine, lowered.reference, plan.options, progress)
        engine = lowered.described(replace(engine, manifest=measured), plan)
        if options.bundle:
            write_bundle(engine, _onnx_of(job, plan), job.folder)
        return publish(engine, options.output)


def build_bundle(options: BuildOptions, progress: Progress) -> Path:
    """Write a bundle but no engine, for a runtime that is not installed here; return its path.

    Raises:
        RoadsegError: anything a user can cause; no file is left half-written then.
    """
    with _prepared(options, progress) as (plan, lowered, job):
        onnx = _onnx_of(job, plan)
        known = Compiled((onnx,), onnx_convolutions(onnx), runtime_version="")
        draft = described(job, known, plan.compiler, plan.spec, plan.weights)
        bundle = write_bundle(lowered.described(draft, plan), onnx, job.folder)
        return bundle.replace(options.output / bundle.name)


@contextmanager
def _prepared(options: BuildOptions, progress: Progress) -> Iterator[tuple[Plan, Lowered, Job]]:
    """Resolve and lower; the job's folder is removed at the end of the block."""
    plan = resolve(options)
    with writable(options.output):
        plan.check_outputs()
        with build_folder(options.output) as folder:
            lowered = lower(plan, folder, progress)
            yield plan, lowered, lowered.job(plan, folder)


def _onnx_of(job: Job, plan: Plan) -> Path:
    """Return the job's ONNX file: the one that the compiler left, or a new export."""
    onnx = job.folder / "graph.onnx"
    if not onnx.exists():
        plan.compiler.export(job, onnx)
    return onnx
