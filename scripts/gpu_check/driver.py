"""The driver module on the GPU: pinned copies, overlap, nesting, threads, a silent end."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from pipeline.runtimes.tensorrt.cuda.driver import open_gpu
from pipeline.runtimes.tensorrt.cuda.gpu import Event, Gpu, Stream
from pipeline.runtimes.tensorrt.cuda.painting import BLOCK, overlay_image

_RUNS = 7


def measure(write: Callable[..., None], scale: float) -> None:
    """Run every part, and write the results after each."""
    gpu = open_gpu()
    write(gpu=gpu.info.name, architecture=gpu.info.architecture, cuda=gpu.info.cuda)
    with gpu.active():
        write(copies=_copies(gpu, int(scale * (256 << 20)) // 4096 * 4096))
        write(overlap=_overlap(gpu, max(64, int(scale * 4096))))
    write(nested=_nested(gpu), other_thread=_released_elsewhere(gpu))
    silent = _silent_end()
    write(silent_end=silent)
    if silent["status"] or silent["said"]:
        write(failed="a process that used the GPU did not end silently")


def _ms(stream: Stream, begin: Event, end: Event, work: Callable[[], None]) -> float:
    begin.record(stream)
    work()
    end.record(stream)
    end.synchronize()
    return end.milliseconds_since(begin)


@contextmanager
def _things(gpu: Gpu) -> Iterator[tuple[ExitStack, Stream, Event, Event]]:
    with ExitStack() as stack:
        stream, begin, end = gpu.stream(), gpu.event(), gpu.event()
        for thing in (stream, begin, end):
            stack.callback(thing.release)
        yield stack, stream, begin, end


def _copies(gpu: Gpu, size: int) -> dict[str, Any]:
    """Copy pinned memory to the GPU and back; check the bytes and measure the rates."""
    with _things(gpu) as (stack, stream, begin, end):
        there, back, device = gpu.host_memory(size), gpu.host_memory(size), gpu.device_memory(size)
        for thing in (there, back, device):
            stack.callback(thing.release)
        there.array[:] = np.resize(np.arange(251, dtype=np.uint8), size)
        up = [
            _ms(stream, begin, end, lambda: gpu.copy_in(device, there.array, stream))
            for _ in range(_RUNS)
        ]
        down = [
            _ms(stream, begin, end, lambda: gpu.copy_out(back.array, device, stream))
            for _ in range(_RUNS)
        ]
        if not np.array_equal(there.array, back.array):
            raise AssertionError("what was copied to the GPU and back is not what was sent")
        gigabytes = size / 1e9
        return {
            "bytes": size,
            "to_gpu_gb_per_s": gigabytes / statistics.median(up) * 1e3,
            "to_host_gb_per_s": gigabytes / statistics.median(down) * 1e3,
        }


def _overlap(gpu: Gpu, side: int) -> dict[str, float]:
    """Time a copy, a kernel, and both at once on two streams, by events."""
    with _things(gpu) as (stack, computing, begin, end):
        copying, copied = gpu.stream(), gpu.event()
        kernel = gpu.kernel(overlay_image(gpu.info.architecture), "overlay", "PPPPPPiiiif")
        pixels = side * side
        host = gpu.host_memory(3 * pixels)
        frames, blended, target = (gpu.device_memory(3 * pixels) for _ in range(3))
        classes, rows, palette = (gpu.device_memory(n) for n in (pixels, 2 * side, 768))
        held = (copying, copied, kernel, host, frames, blended, target, classes, rows, palette)
        for thing in held:
            stack.callback(thing.release)
        zero = gpu.host_memory(pixels)
        stack.callback(zero.release)
        zero.array[:] = 0
        for memory in (classes, rows, palette):
            gpu.copy_in(memory, zero.array[: memory.size], computing)
        grid = (-(-side // BLOCK[0]), -(-side // BLOCK[1]), 1)
        pointers = [m.address for m in (frames, classes, rows, rows, palette, blended)]

        def compute() -> None:
            for _ in range(8):
                kernel.launch(computing, grid, BLOCK, *pointers, side, side, side, side, 0.5)

        def copy() -> None:
            gpu.copy_in(target, host.array, copying)

        def both() -> None:
            copying.wait(begin)
            copy()
            copied.record(copying)
            compute()
            computing.wait(copied)

        def copy_alone() -> None:
            copying.wait(begin)
            copy()
            copied.record(copying)
            computing.wait(copied)

        times = {
            name: statistics.median(_ms(computing, begin, end, work) for _ in range(_RUNS))
            for name, work in (("compute", compute), ("copy", copy_alone), ("both", both))
        }
        hidden = (times["compute"] + times["copy"] - times["both"]) / min(
            times["compute"], times["copy"]
        )
        return {**{f"{name}_ms": ms for name, ms in times.items()}, "share_hidden": hidden}


def _nested(gpu: Gpu) -> bool:
    with gpu.active():
        outer = gpu.stream()
        with gpu.active():
            inner = gpu.stream()
            outer.synchronize()
        outer.synchronize()
        for stream in (outer, inner):
            stream.release()
    return True


def _released_elsewhere(gpu: Gpu) -> bool:
    with gpu.active():
        held = [gpu.stream(), gpu.event(), gpu.host_memory(4096), gpu.device_memory(4096)]
    failed: list[BaseException] = []

    def release() -> None:
        try:
            with gpu.active():
                for thing in held:
                    thing.release()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=release)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return True


def _silent_end() -> dict[str, Any]:
    code = (
        "from pipeline.runtimes.tensorrt.cuda.driver import open_gpu\n"
        "gpu = open_gpu()\n"
        "with gpu.active():\n"
        "    held = [gpu.stream(), gpu.event(), gpu.host_memory(4096), gpu.device_memory(4096)]\n"
        "    for thing in held:\n"
        "        thing.release()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    return {"status": done.returncode, "said": done.stderr.strip()}
