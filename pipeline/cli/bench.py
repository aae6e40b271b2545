"""``bench``: how fast an engine is on this machine."""

from __future__ import annotations

import argparse

from calibration.synthetic import SyntheticDrive
from pipeline.bench import measure_latency
from pipeline.cli.outcome import Outcome
from pipeline.sessions import open_engine


def run(options: argparse.Namespace) -> Outcome:
    """Measure one engine on a synthetic frame."""
    engine, session = open_engine(options.engine)
    with session:
        size = engine.manifest.input
        width, height = options.frame or (max(size.width, 64), max(size.height, 64))
        frame, _ = SyntheticDrive(width, height).frame(0)
        latency = measure_latency(session, frame[None], seconds=30.0, runs=options.runs)
        capabilities = session.capabilities
    document = {
        "fps": latency.fps,
        "latency_ms": latency.to_json(),
        "runs": latency.runs,
        "frame": [width, height],
        "runtime": capabilities.runtime,
        "precision": capabilities.precision,
        "device": capabilities.device,
    }
    text = (
        f"{latency.fps:.1f} FPS at {width}x{height} in {capabilities.precision.upper()} on "
        f"{capabilities.device} ({capabilities.runtime})\n"
        f"latency p50 {latency.p50:.1f} ms, p95 {latency.p95:.1f} ms, p99 {latency.p99:.1f} ms "
        f"over {latency.runs} runs"
    )
    return Outcome(document, text)
