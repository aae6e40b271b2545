"""Recordings in an S3 store, moto's: found, planned, decoded and read as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gop_videos import write_gops

from models.classes import CAMVID
from pipeline.errors import SourceError
from pipeline.stream.archive.decoding import SegmentFrames
from pipeline.stream.archive.plan import Plan
from pipeline.stream.sources import open_source

reason = "scripts/check_scale.sh runs these tests"
boto3 = pytest.importorskip("boto3", reason=reason)
moto = pytest.importorskip("moto.server", reason=reason)

from pipeline.stream.archive import places, worker  # noqa: E402

WORK = worker.Work(engine=None, classes=CAMVID, least=10)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gops(tmp_path_factory.mktemp("video") / "a.mp4", 70)


@pytest.fixture(scope="module")
def store(video: Path) -> Iterator[None]:
    """A bucket ``drives`` with three videos and a text."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = boto3.client("s3")
        client.create_bucket(Bucket="drives")
        for name in ("2026/a.mp4", "2026/10/b.mp4", "2025/c.mp4", "2026/notes.txt"):
            client.put_object(Bucket="drives", Key=name, Body=video.read_bytes())
        yield
    server.stop()


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("s3://drives/2026/a.mp4", ["2026/a.mp4"]),
        ("s3://drives/2026", ["2026/10/b.mp4", "2026/a.mp4"]),
        ("s3://drives/**/*.mp4", ["2025/c.mp4", "2026/10/b.mp4", "2026/a.mp4"]),
        ("s3://drives/202[5]/*", ["2025/c.mp4"]),
    ],
)
def test_videos_are_found_by_name_folder_and_pattern(text: str, found: list[str]) -> None:
    assert places.expand([text, text]) == [f"s3://drives/{name}" for name in found]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "text", ["s3://drives/2024", "s3://nobody/a.mp4", "s3://drives/2026/*.avi"]
)
def test_what_is_not_there_is_one_line(text: str) -> None:
    with pytest.raises(SourceError, match="s3://") as caught:
        places.expand([text])
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("store")
def test_segments_of_an_object_are_the_frames_of_the_file(video: Path) -> None:
    source = "s3://drives/2026/a.mp4"
    plan = Plan.from_json(json.loads(worker.plan(source, WORK)["plan"]))
    assert plan.source == source
    assert len(plan.segments) >= 4
    frames = []
    for segment in plan.segments:
        with places.opened(source) as file:
            frames += list(SegmentFrames(file, segment))
    with open_source(str(video)) as local:
        for mine, theirs in zip(frames, iter(local.read, None), strict=True):
            assert mine.seconds == theirs.seconds
            assert np.array_equal(mine.image, theirs.image)


@pytest.mark.usefixtures("store")
def test_an_object_is_read_as_a_whole_where_it_must_be() -> None:
    source = "s3://drives/2025/c.mp4"
    plan = Plan.from_json(json.loads(worker.plan(source, WORK)["plan"])).uncut("a test")
    chunks = list(worker.decode(plan, plan.segments[0], WORK))
    assert [index for chunk in chunks for index in chunk["index"][0].as_py()] == [*range(70)]
    assert chunks[-1]["failed"][0].as_py() is None


@pytest.mark.usefixtures("store")
def test_an_object_that_is_gone_fails_alone() -> None:
    assert "cannot be read" in worker.plan("s3://drives/2025/gone.mp4", WORK)["failed"]
