"""A week of a recorder in fast motion, over two restarts: see ``week_recorder``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from videos import read_video
from week_recorder import FRAMES, Part, number_of

from pipeline.engine.manifest import Engine, describe_file, write_manifest

ROOT = Path(__file__).parents[2]


def other_weights(engine: Engine, folder: Path) -> Path:
    """An engine with the same name but other weights."""
    shutil.copytree(engine.folder, folder)
    weights = folder / engine.path.with_suffix(".bin").name
    content = np.frombuffer(weights.read_bytes(), np.float32).copy()
    content[-20_000:] *= -1
    weights.write_bytes(content.tobytes())
    files = tuple(describe_file(folder / file.name) for file in engine.manifest.files)
    write_manifest(folder, replace(engine.manifest, files=files))
    return folder


def recorded(part: Part) -> dict[str, Any]:
    """Record a part in a separate process; return its report."""
    support = str(ROOT / "tests" / "support")
    done = subprocess.run(
        [sys.executable, str(Path(support) / "week_recorder.py"), json.dumps(asdict(part))],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{support}", "ROADSEG_CACHE": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (-9 if part.killed else 0), done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize(
    ("videos", "real"),
    [(60, True), pytest.param(2000, False, marks=pytest.mark.slow)],
    ids=["an evening", "a week"],
)
def test_a_week_loses_nothing_but_what_a_restart_takes(
    small_engine: Engine, tmp_path: Path, videos: int, real: bool
) -> None:
    folder, engines = tmp_path / "recording", tmp_path / "engines"
    folder.mkdir()
    shutil.copytree(small_engine.folder, engines)
    others = [other_weights(small_engine, tmp_path / "other"), small_engine.folder]
    count = videos * FRAMES // 3 + 2  # a restart in the middle of a video
    seen: dict[int, list[int]] = {}
    for start in range(3):
        part = Part(
            str(folder),
            str(engines / small_engine.path.name),
            [str(other) for other in others],
            first=start * count,
            count=count,
            keep=200_000,
            real=real,
            killed=start < 2,
        )
        told = recorded(part)
        assert told["swaps"] >= 1
        seen |= {int(number): frames for number, frames in told["videos"].items()}
    for path in folder.glob("drive-*"):  # videos of killed parts, and the last ones
        seen[int(path.name.split("-")[1])] = [number_of(image) for image in read_video(path)[0]]
    assert sorted(seen) == list(range(1, len(seen) + 1)), "a video went before it was read"
    assert [number for number, shown in seen.items() if not shown] == [], "they do not play"
    frames = [number for _, shown in sorted(seen.items()) for number in shown]
    assert frames == sorted(set(frames))
    missing = sorted(set(range(3 * count)) - set(frames))
    before_a_restart = [start * count - back for start in (1, 2) for back in range(1, FRAMES + 1)]
    assert set(missing) <= set(before_a_restart)
    assert len(list(folder.iterdir())) < len(seen), "nothing made room"
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 200_000
