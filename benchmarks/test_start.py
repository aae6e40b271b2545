"""Time from the start of a process to its first class map, and memory, beside a bare script."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from pipeline.engine.manifest import Engine

ROUNDS = 5
_ROOT = Path(__file__).parents[1]

#: A minimal script with OpenVINO's model cache for the same first frame.
BARE = """
import sys, cv2, openvino
engine, video, cache = sys.argv[1:]
settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "CACHE_DIR": cache}
model = openvino.Core().compile_model(engine, "CPU", settings)
arrived, frame = cv2.VideoCapture(video).read()
model([frame[None]])[0]
"""


#: Runs a command from a small process, since a child starts with its parent's memory.
MEASURE = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
seconds = time.perf_counter() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""


def test_first_frame(
    benchmark: BenchmarkFixture, int8_engine: Engine, clip: Path, tmp_path: Path
) -> None:
    """``ratio`` to the bare script, alternating; ``memory_mb`` is the peak resident size."""
    environment = {**os.environ, "ROADSEG_CACHE": str(tmp_path / "ours")}
    # With cached bytecode, as on a user's machine.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path / "bytecode")
    path = str(int8_engine.path)
    ours = ["-m", "pipeline", "run", path, "--source", str(clip), "--frames", "1", "--json"]
    commands = {
        "roadseg": [sys.executable, *ours],
        "bare": [sys.executable, "-c", BARE, path, str(clip), str(tmp_path / "bare")],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    memory: dict[str, float] = {}

    def one_round() -> None:
        for name, command in commands.items():
            measured = subprocess.run(
                [sys.executable, "-c", MEASURE, *command],
                cwd=_ROOT,
                env=environment,
                capture_output=True,
                check=True,
            )
            seconds, kilobytes = json.loads(measured.stdout)
            times[name].append(seconds)
            memory[name] = kilobytes / 1e3

    benchmark.pedantic(one_round, rounds=ROUNDS, warmup_rounds=1)  # the first fills the caches
    pairs = zip(times["roadseg"][1:], times["bare"][1:], strict=True)
    benchmark.extra_info["ratio"] = statistics.median(a / b for a, b in pairs)
    benchmark.extra_info["ratio_asked"] = 1.2
    benchmark.extra_info["memory_mb"] = memory
    assert memory["roadseg"] < 350
