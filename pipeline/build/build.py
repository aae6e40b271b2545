"""From a network to a verified engine with its manifest, or to a bundle for another machine.

The steps, each a function of what the one before it gave: resolve, lower (export and quantise),
compile, verify, publish. ``docs/architecture.md`` follows an option through them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pipeline.build.bundle import describe_bundle, write_bundle
from pipeline.build.lower import Lowered, lower
from pipeline.build.options import BuildOptions
from pipeline.build.resolve import Plan, resolve
from pipeline.build.verify import verify
from pipeline.engine.manifest import Engine
from pipeline.engine.publish import build_folder, publish, writable
from pipeline.progress import Progress
from pipeline.runtimes.compile import assemble, described
from pipeline.runtimes.compiler import Job


def build(options: BuildOptions, progress: Progress) -> Engine:
    """Build, read back, compare with PyTorch, and only then publish the engine.

    Raises:
        RoadsegError: anything a user can cause; nothing is left half-written then.
    """
    with _prepared(options, progress) as (plan, lowered, job):
        engine = assemble(job, plan.compiler, plan.spec, plan.weights, progress)
        measured = verify(engine, lowered.reference, plan.options, progress)
        engine = lowered.described(replace(engine, manifest=measured), plan)
        if options.bundle:
            write_bundle(engine, _onnx_of(job, plan), job.folder)
        return publish(engine, options.output)


def build_bundle(options: BuildOptions, progress: Progress) -> Path:
    """Leave a bundle and no engine, for a runtime that is not installed here; return its path.

    Raises:
        RoadsegError: anything a user can cause; nothing is left half-written then.
    """
    with _prepared(options, progress) as (plan, lowered, job):
        onnx = _onnx_of(job, plan)
        draft = described(job, describe_bundle(onnx), plan.compiler, plan.spec, plan.weights)
        bundle = write_bundle(lowered.described(draft, plan), onnx, job.folder)
        return bundle.replace(options.output / bundle.name)


@contextmanager
def _prepared(options: BuildOptions, progress: Progress) -> Iterator[tuple[Plan, Lowered, Job]]:
    """Resolve and lower; what the block writes into the job's folder goes with it."""
    plan = resolve(options)
    with writable(options.output):
        plan.check_outputs()
        with build_folder(options.output) as folder:
            lowered = lower(plan, folder, progress)
            yield plan, lowered, lowered.job(plan, folder)


def _onnx_of(job: Job, plan: Plan) -> Path:
    """Return the ONNX file of the job; the compiler may have left one."""
    onnx = job.folder / "graph.onnx"
    if not onnx.exists():
        plan.compiler.export(job, onnx)
    return onnx
