"""``archive`` through everything that can happen to it: one story, and checks of its outcome.

Ray is started three times: Ctrl-C ends the first job, kill -9 the second, which leaves its
processes behind; the third runs on a cluster of two nodes, loses a worker by kill -9, then a node.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from gop_videos import damage, write_gops
from processes import descendants, kill
from tiny_openvino import write_engine

from pipeline.engine.manifest import Engine
from pipeline.runtimes.registry import open_session

ds = pytest.importorskip("pyarrow.dataset", reason="scripts/check_scale.sh runs these tests")
pq = pytest.importorskip("pyarrow.parquet", reason="scripts/check_scale.sh runs these tests")

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "ROADSEG_CACHE": ""}
#: Six segments of 256 frames.
FRAMES = 1536
PATIENCE = 180.0


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    error: str
    parts: frozenset[str]

    @property
    def document(self) -> dict:
        return json.loads(self.out.splitlines()[-1])


@dataclass(frozen=True)
class Story:
    engine: Engine
    folder: Path
    videos: Path
    interrupted: Ended
    killed: Ended
    finished: Ended
    again: Ended


def start(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pipeline", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True)


def parts(folder: Path) -> frozenset[str]:
    return frozenset(str(path.relative_to(folder)) for path in folder.glob("rows/source=*/part-*"))


def until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing was committed"
        time.sleep(0.02)


def end(process: subprocess.Popen[str], folder: Path) -> Ended:
    out, error = process.communicate(timeout=PATIENCE)
    return Ended(process.returncode, out, error, parts(folder))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("archive")
    videos, output = folder / "videos", folder / "archive"
    (videos / "sub").mkdir(parents=True)
    long = write_gops(videos / "long.mp4", FRAMES)
    damage(videos / "sub/damaged.mp4", write_gops(folder / "sound.mp4", 70))
    (folder / "list.txt").write_text("videos\ngone.mp4\n", encoding="utf-8")
    engine = write_engine(folder / "engine", channels=64)
    words = ["archive", str(engine.path), "--source", str(folder / "list.txt")]
    words += ["--output", str(output), "--masks", "--overlay", "--json"]

    first = start(*words, "--workers", "1")
    until(lambda: len(parts(output)) >= 1, first)
    first.send_signal(signal.SIGINT)
    interrupted = end(first, output)

    second = start(*words, "--workers", "1")
    until(lambda: len(parts(output)) > len(interrupted.parts), second)
    left = descendants(second.pid)
    second.kill()
    killed = end(second, output)
    kill(left)

    with TwoNodes() as (address, remove_node):
        third = start(*words, "--workers", "3", "--ray", address)
        until(lambda: len(parts(output)) > len(killed.parts), third)
        kill(_sessions(os.getpid())[:1])
        until(lambda: len(parts(output)) > len(killed.parts) + 1, third)
        remove_node()
        finished = end(third, output)
    again = end(start(*words), output)
    yield Story(engine, output, videos, interrupted, killed, finished, again)
    assert long.exists()


class TwoNodes:
    """A cluster on this machine; its processes are children of this one."""

    def __enter__(self) -> tuple[str, Callable[[], None]]:
        os.environ.update(RAY_USAGE_STATS_ENABLED="0", PYTHONPATH=str(ROOT), ROADSEG_CACHE="")
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 2, "include_dashboard": False},
        )
        node = self._cluster.add_node(num_cpus=2)
        return self._cluster.address, lambda: self._cluster.remove_node(node, allow_graceful=False)

    def __exit__(self, *_: object) -> None:
        left = descendants(os.getpid())
        self._cluster.shutdown()
        kill(left)


def _sessions(root: int) -> list[int]:
    return [
        process
        for process in descendants(root)
        if b"Segmenter" in Path(f"/proc/{process}/cmdline").read_bytes()
    ]


def lines_of_run(story: Story, name: str, folder: Path) -> list[dict]:
    target = folder / "run.jsonl"
    words = ["run", str(story.engine.path), "--source", str(story.videos / name)]
    end(start(*words, "--sink", str(target)), folder)
    [partial] = [*folder.glob("run*.jsonl")]
    return [json.loads(line) for line in partial.read_text().splitlines()[1:]]


def rows(story: Story, name: str) -> list[dict]:
    table = ds.dataset(story.folder / "rows", partitioning="hive", format="parquet").to_table(
        filter=ds.field("source") == str(story.videos / name)
    )
    return table.sort_by("index").to_pylist()


@pytest.mark.parametrize("name", ["long.mp4", "sub/damaged.mp4"])
def test_there_is_one_row_a_frame_and_it_is_that_of_run_to_the_last_digit(
    name: str, story: Story, tmp_path: Path
) -> None:
    expected = lines_of_run(story, name, tmp_path)
    found = rows(story, name)
    assert len(found) == len(expected) == (FRAMES if name == "long.mp4" else 62)
    assert [(row["index"], row["name"], row["seconds"]) for row in found] == [
        (line["index"], line["name"], line["seconds"]) for line in expected
    ]
    names = story.engine.manifest.classes.names
    assert [[row[f"share_{name}"] for name in names] for row in found] == [
        [line["shares"][name] for name in names] for line in expected
    ]


def test_ctrl_c_keeps_what_is_committed(story: Story) -> None:
    assert story.interrupted.status == 130
    assert story.interrupted.error == "interrupted\n"
    assert 1 <= len(story.interrupted.parts) < FRAMES // 256


def test_what_was_committed_before_a_kill_is_not_done_again(story: Story) -> None:
    assert story.killed.status == -signal.SIGKILL
    assert story.interrupted.parts < story.killed.parts < story.finished.parts
    assert story.finished.document["segments_before"] == len(story.killed.parts)
    # The damaged video counts as one segment, in addition to the remaining ones.
    left = FRAMES // 256 + 1 - len(story.killed.parts)
    assert story.finished.document["segments"] == left


def test_a_damaged_and_a_missing_video_are_told_at_the_end(story: Story) -> None:
    assert story.finished.status == 1
    sources = story.finished.document["sources"]
    states = {Path(source).name: one["state"] for source, one in sources.items()}
    assert states == {"long.mp4": "done", "damaged.mp4": "done", "gone.mp4": "failed"}
    lines = story.finished.error.splitlines()
    assert len(lines) == 2
    assert any("damaged.mp4 delivered 62 of the 70 frames" in line for line in lines)
    assert any("gone.mp4 cannot be read" in line for line in lines)
    assert json.loads((story.folder / "report.json").read_text())["sources"] == sources


def test_another_run_finds_nothing_to_do_but_says_the_same(story: Story) -> None:
    assert story.again.status == 1
    assert story.again.document["frames"] == 0
    assert story.again.parts == story.finished.parts
    assert sorted(story.again.error.splitlines()) == sorted(story.finished.error.splitlines())


def test_masks_are_the_class_maps(story: Story) -> None:
    found = rows(story, "sub/damaged.mp4")
    capture = cv2.VideoCapture(str(story.videos / "sub/damaged.mp4"))
    with open_session(story.engine) as session:
        for row in found[:5]:
            image = np.asarray(capture.read()[1], np.uint8)
            mask = cv2.imdecode(np.frombuffer(row["mask"], np.uint8), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(mask, session.run(image[None])[0])


def test_overlays_are_joined_into_a_video_of_all_frames(story: Story) -> None:
    for name, expected in (("long.mp4", FRAMES), ("damaged.mp4", 62)):
        [video] = story.folder.glob(f"overlay/*{name}.mp4")
        with av.open(str(video)) as container:
            frames = list(container.decode(video=0))
        assert len(frames) == expected
        moments = [frame.time for frame in frames]
        assert moments == sorted(set(moments))
        assert abs(moments[-1] - (expected - 1) / 25) < (0.01 if name == "long.mp4" else 1)
    assert len([*(story.folder / "overlay").iterdir()]) == 2


def test_nothing_half_written_is_left(story: Story) -> None:
    left = [path.name for path in story.folder.rglob(".*") if path.name != ".roadseg.lock"]
    assert left == []
    for part in story.finished.parts:
        assert pq.read_metadata(story.folder / part).num_rows > 0
