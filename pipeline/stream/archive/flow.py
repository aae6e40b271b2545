"""The two operators on Ray Data, decoding in tasks and sessions in actors, and their results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from pipeline.errors import EngineError, reason_of
from pipeline.stream.archive.cluster import Cluster
from pipeline.stream.archive.decoding import Segment
from pipeline.stream.archive.plan import Plan
from pipeline.stream.archive.worker import Segmenter, Work, decode, plan

#: Bytes that Ray lets a task collect before it hands them on: a chunk.
_BLOCK = 32 << 20
#: Tasks at most; a task takes several segments, one after the other, where there are more.
_TASKS = 10_000
#: Cores by Ray's count, which only places work. Less than half of one for a session: when half
#: of the nodes are lost, all sessions still find a place, and what they had begun goes on; what is
#: left keeps decoding from waiting behind them. They differ, else Ray makes one operator of both.
_SESSION_CPUS, _DECODING_CPUS = 0.45, 0.05


def planned(sources: Sequence[str], work: Work) -> Iterator[tuple[str, dict[str, Any]]]:
    """Plan sources on all nodes: it reads each file once. Yields what ``worker.plan`` returns."""
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
    segments: Sequence[tuple[Plan, Segment]], work: Work, found: Cluster, on_gpu: bool
) -> Iterator[dict[str, Any]]:
    """Work on segments; yields rows of ``chunks.RESULTS``, in any order.

    A worker that dies is replaced, and what it had is done again elsewhere.

    Raises:
        EngineError: the sessions cannot be opened on the workers.
    """
    import ray.data
    from ray.exceptions import RayError

    _quiet()
    tasks = [{"task": json.dumps([_slim(given), asdict(segment)])} for given, segment in segments]

    workers = min(found.workers, len(tasks))  # Ray warns of workers without work

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
            f"the workers gave up ({_cause(error)}); what is committed stays: check the engine on "
            "the nodes, then give the same command again"
        ) from error


def _slim(given: Plan) -> dict[str, Any]:
    """A plan without its segments: each task brings its own."""
    return {**given.to_json(), "segments": []}


def _cause(error: BaseException) -> str:
    """What a worker said, below Ray's own words about it."""
    while (inner := getattr(error, "cause", None) or error.__cause__) is not None:
        error = inner
    return reason_of(error)


def _quiet() -> None:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = _BLOCK
