"""An illegal access during runs: one error line, nothing freed afterwards, a silent end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_CODE = """
import sys
import tempfile
from pathlib import Path
sys.path.insert(0, {support!r})
import torch
from random_frames import frames
from rigs import GpuRig, open_stand_in_rig, small_input, write_engine
from stand_in_driver import stand_in
from torch import nn
from pipeline.errors import EngineError
from pipeline.graph.deployment import DeploymentGraph
from pipeline.runtimes.tensorrt.cuda.painting import BLOCK
from pipeline.runtimes.tensorrt.session import TensorRTSession
rig = GpuRig() if stand_in() is None else open_stand_in_rig()
graph = DeploymentGraph(nn.Conv2d(3, 11, 3, padding=1), small_input()).eval()
with tempfile.TemporaryDirectory() as folder:
    engine = write_engine(rig, graph, Path(folder))
    with TensorRTSession(engine, rig.platform) as session:
        session.run(frames())
        first = session.submit(frames())
        with rig.gpu.active():
            pointers = [256] * 6  # nobody's memory
            session._painter._kernel.launch(
                session._compute, (1, 1, 1), BLOCK, *pointers, 8, 8, 8, 8, 0.5
            )
        for attempt in (first.result, lambda: session.submit(frames()).result()):
            try:
                attempt()
            except EngineError as error:
                print(error)
            else:
                print("no error")
    print("lost", rig.gpu.lost)
"""


def measure(write: Callable[..., None], scale: float) -> None:
    """Run it in a separate process, and check how that ends."""
    import torch

    from pipeline.runtimes.tensorrt.cuda.presence import why_no_gpu

    if reason := why_no_gpu():
        raise ImportError(reason)
    root = Path(__file__).parents[2]
    code = _CODE.format(support=str(root / "tests" / "support"))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=root)
    told = done.stdout.strip().splitlines()
    said = done.stderr.strip().splitlines()[-20:]
    write(torch=torch.__version__, status=done.returncode, told=told, said=said)
    if done.returncode or done.stderr.strip():
        write(failed="the process did not end silently")
    elif "lost True" not in told or "restart the process" not in done.stdout:
        write(failed="the illegal access was not told")
