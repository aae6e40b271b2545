"""A failure of any call, on the double; for real pycuda see ``stand_in``."""

from __future__ import annotations

from pathlib import Path

import pytest
from device_double import GpuDouble
from host_kernel import HostKernel
from random_frames import frames
from session_scenario import rtx_engine, scenario
from tensorrt_double import TensorRTDouble

from pipeline.engine.manifest import Engine
from pipeline.errors import EngineError, RuntimeMissingError
from pipeline.runtimes.tensorrt.platform import Platform
from pipeline.runtimes.tensorrt.session import TensorRTSession


def _call_count(engine: Engine, host_kernel: HostKernel) -> int:
    gpu = GpuDouble(host_kernel)
    scenario(engine, Platform(TensorRTDouble(gpu, rtx=True), gpu))
    return len(gpu.ledger.calls)


def test_a_failure_of_any_call_is_reported_and_leaves_nothing_behind(
    engine: Engine, host_kernel: HostKernel, tmp_path: Path
) -> None:
    rtx = rtx_engine(engine, tmp_path)
    seen = set()
    for place in range(_call_count(rtx, host_kernel)):
        gpu = GpuDouble(host_kernel)
        gpu.ledger.fail_at = place
        try:
            scenario(rtx, Platform(TensorRTDouble(gpu, rtx=True), gpu))
        except (EngineError, RuntimeMissingError) as error:
            assert "\n" not in str(error)  # noqa: PT017  # every call must have been tried
        else:
            # Errors during closing are only logged, since the results were right.
            assert gpu.ledger.calls[place] in {"active", "stream.synchronize", "free"}
        seen.add(gpu.ledger.calls[place])
        held = {type(thing).__name__ for thing in gpu.ledger.held}
        assert not held or gpu.ledger.calls[place] == "active", (place, held)
        assert not any(gpu.ledger.active.values())
    assert {"execution itself", "launch", "copy_in", "copy_out", "device_memory"} <= seen


def test_after_a_failure_the_session_only_closes(engine: Engine, gpu: GpuDouble) -> None:
    with TensorRTSession(engine, Platform(TensorRTDouble(gpu), gpu)) as session:
        session.run(frames())
        gpu.ledger.fail_at = len(gpu.ledger.calls) + 8
        with pytest.raises(EngineError):
            session.run(frames())
        with pytest.raises(EngineError, match="failed before"):
            session.run(frames())
    assert not gpu.ledger.held
