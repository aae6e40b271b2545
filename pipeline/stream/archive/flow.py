"""The pipeline of Ray Data: decoding in tasks, sessions in actors, and their results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa

from pipeline.errors import EngineError, reason_of
from pipeline.stream.archive.decoding import Segment
from pipeline.stream.archive.plan import Plan
from pipeline.stream.archive.worker import Segmenter, Work, decode, plan

#: Bytes that a task collects before Ray passes them on: a chunk.
_BLOCK = 32 << 20
#: Largest number of tasks; with more segments, a task takes several, one after the other.
_TASKS = 10_000
#: Cores that Ray reserves for a session and for a decoding task; this only decides the placement.
#: With less than half a core, all sessions still fit when half of the nodes are lost, and decoding
#: need not wait for them. The two must differ, or Ray fuses both operators into one.
_SESSION_CPUS, _DECODING_CPUS = 0.45, 0.05


def planned(sources: Sequence[str], work: Work) -> Iterator[tuple[str, dict[str, Any]]]:
    """Plan sources on all nodes, which reads each file; yields what ``worker.plan`` returns."""
    if not sources:
        return
    import ray.data

    _quiet()
    rows = [{"source": source.encode(errors="surrogateescape")} for source in sources]

    def answer(row: dict[str, Any]) -> dict[str, Any]:
        source = bytes(row["source"]).decode(errors="surrogateescape")
        return {"source": row["source"], "answer": json.dumps(plan(source, work))}

    data = ray.data.from_items(rows, override_num_blocks=min(len(rows), _TASKS)).map(
        answer, num_cpus=_DECODING_CPUS
    )
    for row in data.iter_rows():
        yield bytes(row["source"]).decode(errors="surrogateescape"), json.loads(row["answer"])


def results(
    segments: Sequence[tuple[Plan, Segment]], work: Work, workers: int, on_gpu: bool
) -> Iterator[dict[str, Any]]:
    """Decode and segment; yields rows of ``chunks.RESULTS``, in any order.

    A worker that dies is replaced, and its work is done again.

    Raises:
        EngineError: the sessions cannot be opened on the workers.
    """
    import ray.data
    from ray.exceptions import RayError

    _quiet()
    tasks = [_task(given, segment) for given, segment in segments]
    workers = min(workers, len(tasks))  # Ray warns of workers without work

    def decoded(table: pa.Table) -> Iterator[pa.Table]:
        for text in table["task"].to_pylist():
            given, segment = json.loads(text)
            yield from decode(Plan.from_json(given), Segment(**segment), work)

    data = (
        ray.data.from_items(tasks, override_num_blocks=min(len(tasks), _TASKS))
        .map_batches(
            decoded,
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=_DECODING_CPUS,
            concurrency=workers,
        )
        .map_batches(
            Segmenter,
            fn_constructor_args=(work,),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=_SESSION_CPUS,
            num_gpus=1 if on_gpu else 0,
        )
    )
    try:
        for table in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            yield from table.to_pylist()
    except RayError as error:
        raise EngineError(
            f"the workers failed ({_cause(error)}); committed segments stay: check the engine on "
            "the nodes, then give the same command again"
        ) from error


def _task(given: Plan, segment: Segment) -> dict[str, str]:
    """Return the row of a task; its plan needs no segments, since the task has one.

    They are left out first: copying 10,000 segments 10,000 times takes the driver minutes.
    """
    return {"task": json.dumps([replace(given, segments=()).to_json(), asdict(segment)])}


def _cause(error: BaseException) -> str:
    """Return the worker's own error, without Ray's text around it."""
    while (inner := getattr(error, "cause", None) or error.__cause__) is not None:
        error = inner
    return reason_of(error)


def _quiet() -> None:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = _BLOCK
