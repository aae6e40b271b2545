"""Calls that a GPU refuses or accepts: the same on the double, the stand-in and a real GPU."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from rigs import DoubleRig, Rig

from pipeline.errors import EngineError
from pipeline.runtimes.tensorrt.cuda.painting import BLOCK, overlay_image


@pytest.fixture
def held(rig: Rig) -> Iterator[ExitStack]:
    """Releases everything a test makes while the GPU is active; nothing may be left after that."""
    with rig.gpu.active(), ExitStack() as stack:
        yield stack
    assert not rig.held()


def test_memory_of_no_bytes_is_refused_and_nothing_is_spoilt(rig: Rig, held: ExitStack) -> None:
    for make in (rig.gpu.device_memory, rig.gpu.host_memory):
        with pytest.raises(EngineError):
            make(0)
    memory = rig.gpu.device_memory(1)
    held.callback(memory.release)
    assert not rig.gpu.lost


@pytest.mark.parametrize(
    ("grid", "block"),
    [((1, 65536, 1), BLOCK), ((1, 1, 1), (32, 33, 1)), ((1, 0, 1), BLOCK)],
    ids=["too many blocks", "too many threads", "no block"],
)
def test_a_launch_beyond_the_limits_is_refused(
    rig: Rig, held: ExitStack, grid: tuple[int, int, int], block: tuple[int, int, int]
) -> None:
    stream, memory = rig.gpu.stream(), rig.gpu.device_memory(4096)
    image = overlay_image(rig.gpu.info.architecture)
    kernel = rig.gpu.kernel(image, "overlay", "PPPPPPiiiif")
    for thing in (stream, memory, kernel):
        held.callback(thing.release)
    with pytest.raises(EngineError):
        kernel.launch(stream, grid, block, *[memory.address] * 6, 1, 1, 1, 1, 0.5)
    stream.synchronize()


def test_a_copy_beyond_a_memorys_end_is_refused(rig: Rig, held: ExitStack) -> None:
    if not rig.counts:
        pytest.skip("a GPU may have other memory behind")
    stream, small, large = rig.gpu.stream(), rig.gpu.device_memory(64), rig.gpu.host_memory(65)
    for thing in (stream, small, large):
        held.callback(thing.release)
    with pytest.raises(EngineError):
        rig.gpu.copy_in(small, large.array, stream)
    with pytest.raises(EngineError):
        rig.gpu.copy_out(large.array, small, stream)


def test_pageable_memory_is_told_by_what_can_tell_it(rig: Rig) -> None:
    if not rig.counts:
        pytest.skip("a GPU takes it, and only takes longer")
    pageable = np.zeros(64, np.uint8)
    with rig.gpu.active(), ExitStack() as stack:
        stream, memory = rig.gpu.stream(), rig.gpu.device_memory(64)
        for thing in (stream, memory):
            stack.callback(thing.release)
        if isinstance(rig, DoubleRig):
            with pytest.raises(AssertionError, match="pageable"):
                rig.gpu.copy_in(memory, pageable, stream)
        else:
            rig.gpu.copy_in(memory, pageable, stream)
            stream.synchronize()
    assert isinstance(rig, DoubleRig) or "with pageable memory" in rig.held()


def test_copies_come_back_whole(rig: Rig, held: ExitStack) -> None:
    stream, there, back = rig.gpu.stream(), rig.gpu.host_memory(1000), rig.gpu.host_memory(1000)
    device = rig.gpu.device_memory(1000)
    for thing in (stream, there, back, device):
        held.callback(thing.release)
    there.array[:] = np.arange(1000) % 251
    rig.gpu.copy_in(device, there.array, stream)
    rig.gpu.copy_out(back.array, device, stream)
    stream.synchronize()
    assert np.array_equal(back.array, there.array)


def test_one_activity_may_lie_in_another_and_another_thread_may_release(rig: Rig) -> None:
    with rig.gpu.active():
        things = [rig.gpu.stream(), rig.gpu.event()]
        with rig.gpu.active():
            things += [rig.gpu.device_memory(64), rig.gpu.host_memory(64)]
        things[0].synchronize()

    def release() -> None:
        with rig.gpu.active():
            for thing in things:
                thing.release()

    thread = threading.Thread(target=release)
    thread.start()
    thread.join(60)
    assert not rig.held()


def test_a_call_outside_is_refused(rig: Rig) -> None:
    kind = AssertionError if isinstance(rig, DoubleRig) else EngineError
    with pytest.raises(kind):
        rig.gpu.stream()
    assert not rig.gpu.lost
    with rig.gpu.active():
        rig.gpu.stream().release()
