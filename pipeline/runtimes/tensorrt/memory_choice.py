"""Where GPU and processor share memory: copy frames to the GPU's buffers, or use them in place.

Use in place saves two copies, but such memory is not cached on a Jetson ("CUDA for Tegra", table
1): what a kernel reads repeatedly, as the resize of a frame does, is fetched each time. Which is
faster depends on the board and the engine, so both are measured.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pipeline.runtimes.session import Frames, Session
from pipeline.runtimes.tensorrt.buffer_set import BufferSet

log = logging.getLogger(__name__)

#: Timed runs of each kind, after an untimed one.
_RUNS = 3


def choose_memory(session: Session, buffer_sets: Sequence[BufferSet], frames: Frames) -> None:
    """Run ``frames`` both ways, and set the buffers to the faster one; to copies if both are equal.

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
