"""Where GPU and processor share memory: copy into the GPU's own, or let it read the processor's.

Memory of the processor that the GPU reads in place saves two copies, and is not cached on a Jetson
("CUDA for Tegra", table 1): what a kernel reads often, as the resize of a frame does, is fetched
again each time. Which is faster depends on the board and the engine, so both are run.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pipeline.runtimes.session import Frames, Session
from pipeline.runtimes.tensorrt.buffer_set import BufferSet

log = logging.getLogger(__name__)

#: Runs of each kind that count, after one that does not.
_RUNS = 3


def choose_memory(session: Session, buffer_sets: Sequence[BufferSet], frames: Frames) -> None:
    """Run ``frames`` both ways, and leave the buffers the faster one; copies where both are equal.

    Raises:
        EngineError: a run failed.
    """
    fastest = {}
    for mapped in (False, True):
        for buffers in buffer_sets:
            buffers.map(mapped)
        times = [session.submit(frames).result().device_ms for _ in range(1 + _RUNS)]
        fastest[mapped] = min(sum(steps.values()) for steps in times[1:])
    chosen = fastest[True] < fastest[False]
    for buffers in buffer_sets:
        buffers.map(chosen)
    log.info(
        "frames are %s: %.2f ms with copies, %.2f ms in place",
        "read in place" if chosen else "copied to the GPU",
        fastest[False],
        fastest[True],
    )
