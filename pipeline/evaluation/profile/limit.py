"""The share of this machine's speed limit that an engine reaches.

The limit is a roofline per convolution (Williams, Waterman and Patterson, CACM 52(4), 2009): each
takes at least its multiply-adds over the measured peak of its precision, and at least its bytes
over the measured bandwidth. Only convolutions and matrix products count in this model, and caches
do not, so the limit need not be reachable.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.engine.manifest import Engine
from pipeline.runtimes.probe import ConvolutionWork, Probe, Shape

#: Convolution whose speed is taken as the peak: large enough to be bound by arithmetic.
PEAK_SHAPE = Shape(channels=256, height=60, width=80)
_BYTES = {"int8": 1, "fp16": 2, "bf16": 2, "fp32": 4}
_COPY_BYTES = 32 << 20
_ROUNDS = 5


@dataclass(frozen=True)
class Limit:
    """The time of an engine's convolutions at this machine's limit.

    Attributes:
        gmacs: 10^9 multiply-adds of one frame.
        megabytes: 10^6 bytes that its convolutions read and write.
        peaks: precision -> measured 10^9 multiply-adds per second.
        bandwidth: measured 10^9 bytes per second.
        ms: sum over convolutions of the time of their arithmetic or their memory traffic,
            whichever is longer.
    """

    gmacs: float
    megabytes: float
    peaks: Mapping[str, float]
    bandwidth: float
    ms: float

    def share(self, latency_ms: float) -> float:
        """Limit / measured latency; 1 is as fast as this machine can be."""
        return self.ms / latency_ms

    def to_json(self) -> dict[str, Any]:
        return {
            "gmacs": self.gmacs,
            "megabytes": self.megabytes,
            "peak_gmacs_per_second": dict(self.peaks),
            "gigabytes_per_second": self.bandwidth,
            "limit_ms": self.ms,
        }

    def words(self, latency_ms: float) -> str:
        """Return one line of text."""
        peaks = ", ".join(f"{name.upper()} {peak:.0f}" for name, peak in self.peaks.items())
        return (
            f"{self.share(latency_ms):.0%} of this machine's limit: {self.gmacs:.1f} GMACs and "
            f"{self.megabytes:.0f} MB take {self.ms:.1f} ms at the measured {peaks} GMAC/s and "
            f"{self.bandwidth:.0f} GB/s"
        )


def measure_limit(probe: Probe, engine: Engine) -> Limit | None:
    """Measure this machine's limit for an engine; None where the engine's work is not known."""
    work = probe.work(engine)
    if not work:
        return None
    peaks = {one: peak_of(probe, one) for one in sorted({part.precision for part in work})}
    return limit_of(work, peaks, measure_bandwidth())


def limit_of(
    work: Sequence[ConvolutionWork], peaks: Mapping[str, float], bandwidth: float
) -> Limit:
    """Compute the limit from the work of every convolution; units are those of :class:`Limit`."""
    ms = sum(max(one.macs / peaks[one.precision], _bytes(one) / bandwidth) / 1e6 for one in work)
    gmacs = sum(one.macs for one in work) / 1e9
    return Limit(gmacs, sum(map(_bytes, work)) / 1e6, peaks, bandwidth, ms)


def peak_of(probe: Probe, precision: str) -> float:
    """Measure 10^9 multiply-adds per second of a large convolution through the same runtime."""
    with probe.load([PEAK_SHAPE], precision) as load:
        load.run()
        return load.macs / min(load.seconds() for _ in range(_ROUNDS)) / 1e9


def measure_bandwidth(threads: int = 2) -> float:
    """Measure 10^9 bytes per second, read plus written, of copies in several threads at once."""
    arrays = [np.ones((2, _COPY_BYTES), np.uint8) for _ in range(threads)]

    def copy_all() -> float:
        workers = [threading.Thread(target=np.copyto, args=(pair[0], pair[1])) for pair in arrays]
        start = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return time.perf_counter() - start

    seconds = statistics.median(copy_all() for _ in range(_ROUNDS))
    return 2 * _COPY_BYTES * threads / seconds / 1e9


def _bytes(work: ConvolutionWork) -> int:
    return work.elements * _BYTES[work.precision]
