"""What an archive refuses and what it survives, without Ray: only the driver's part."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from gop_videos import write_gops
from small_disk import disk_full_after
from tiny_openvino import CLASSES

from pipeline.errors import OutputError, RuntimeMissingError, SourceError

reason = "scripts/check_scale.sh runs these tests"
pq = pytest.importorskip("pyarrow.parquet", reason=reason)
pytest.importorskip("ray", reason=reason)

from pipeline.stream.archive import places  # noqa: E402
from pipeline.stream.archive.cluster import _ray_errors, cluster  # noqa: E402
from pipeline.stream.archive.collector import Collector, SourceWork  # noqa: E402
from pipeline.stream.archive.decoding import Segment  # noqa: E402
from pipeline.stream.archive.estimate import estimate  # noqa: E402
from pipeline.stream.archive.flow import _task  # noqa: E402
from pipeline.stream.archive.folder import ArchiveFolder, Contents  # noqa: E402
from pipeline.stream.archive.plan import Plan, plan_video  # noqa: E402
from pipeline.stream.archive.worker import Segmenter, Work, decode  # noqa: E402

CONTENTS = Contents("a" * 64, CLASSES.names)
WORK = Work(engine=None, classes=CLASSES, least=10)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_gops(tmp_path / "a.mp4", 70)


@pytest.fixture
def plan(video: Path) -> Plan:
    return plan_video(video, str(video), places.fingerprint(str(video)), 10)


def results(plan: Plan) -> list[dict]:
    segmenter = Segmenter(WORK)
    return [
        row
        for segment in plan.segments
        for chunk in decode(plan, segment, WORK)
        for table in segmenter(chunk)
        for row in table.to_pylist()
    ]


def begun(folder: ArchiveFolder, plan: Plan) -> SourceWork:
    source = folder.source(plan.source)
    source.write_plan(plan)
    return SourceWork.begin(source, plan)


def parts(folder: ArchiveFolder) -> list[Path]:
    return sorted(folder.path.glob("rows/*/part-*"))


def test_results_in_any_order_and_twice_are_one_row_a_frame(plan: Plan, tmp_path: Path) -> None:
    folder = ArchiveFolder(tmp_path / "out", CONTENTS)
    source = begun(folder, plan)
    collector = Collector(CONTENTS, {plan.source: source})
    rows = results(plan)
    for row in [*reversed(rows), *rows]:
        collector.add(row)
    assert collector.frames == 70
    assert collector.segments == len(plan.segments) == len(parts(folder))
    assert sorted(i for p in parts(folder) for i in pq.read_table(p)["index"].to_pylist()) == [
        *range(70)
    ]
    assert source.folder.done() == {"frames": 70, "whole": None, "problems": []}


def test_a_video_whose_name_is_no_text_is_archived(video: Path, tmp_path: Path) -> None:
    strange = video.rename(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4")))
    plan = plan_video(strange, str(strange), "1", 10).uncut("a test")
    folder = ArchiveFolder(tmp_path / "out", CONTENTS)
    source = begun(folder, plan)
    for row in results(plan):
        Collector(CONTENTS, {plan.source: source}).add(row)
    done = source.folder.done()
    assert done is not None
    assert (done["frames"], done["problems"]) == (70, [])


def test_neighbours_that_saw_different_pictures_begin_the_video_again(
    plan: Plan, tmp_path: Path
) -> None:
    folder = ArchiveFolder(tmp_path / "out", CONTENTS)
    source = begun(folder, plan)
    collector = Collector(CONTENTS, {plan.source: source})
    for row in results(plan):
        collector.add({**row, "entry": 7} if row["first"] else row)
    assert source.torn == "two neighbours decode different pictures at a key frame"
    assert source.folder.done() is None
    again = source.read_as_a_whole()
    assert parts(folder) == []
    for row in results(again.plan):
        Collector(CONTENTS, {plan.source: again}).add(row)
    done = again.folder.done()
    assert done is not None
    assert done["frames"] == 70
    assert done["whole"] == source.torn


def test_a_full_disk_is_one_line_and_costs_no_segment(plan: Plan, tmp_path: Path) -> None:
    folder = ArchiveFolder(tmp_path / "out", CONTENTS)
    source = begun(folder, plan)
    collector = Collector(CONTENTS, {plan.source: source})
    rows = results(plan)
    collector.add(rows[0])
    with disk_full_after(100), pytest.raises(OutputError, match="cannot be written") as caught:
        collector.add(rows[1])
    assert "\n" not in str(caught.value)
    assert "the same command goes on from there" in str(caught.value)
    assert [part.name for part in parts(folder)] == ["part-000000000.parquet"]
    assert [*source.folder.path.glob(".*")] == []
    resumed = SourceWork.begin(source.folder, plan)
    assert [one.first for one in resumed.segments()] == [s.first for s in plan.segments[1:]]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(CONTENTS, engine="b" * 64), r"another engine \(aaaaaaaa, given bbbbbbbb\)"),
        (replace(CONTENTS, every=5), r"another --every \(1, given 5\)"),
        (replace(CONTENTS, masks=True), r"another --masks \(False, given True\)"),
    ],
)
def test_a_folder_of_another_engine_or_with_other_options_is_refused(
    other: Contents, words: str, tmp_path: Path
) -> None:
    ArchiveFolder(tmp_path / "out", CONTENTS).close()
    ArchiveFolder(tmp_path / "out", CONTENTS).close()
    with pytest.raises(OutputError, match=words):
        ArchiveFolder(tmp_path / "out", other)


def test_a_folder_that_is_no_archive_or_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="holds files and is not an archive"):
        ArchiveFolder(tmp_path / "out", CONTENTS)
    folder = ArchiveFolder(tmp_path / "used", CONTENTS)
    with pytest.raises(OutputError, match="two outputs would write"):
        ArchiveFolder(tmp_path / "used", CONTENTS)
    folder.close()


def test_a_video_that_changed_since_is_refused(plan: Plan, video: Path, tmp_path: Path) -> None:
    source = begun(ArchiveFolder(tmp_path / "out", CONTENTS), plan).folder
    assert source.plan(plan.fingerprint) == plan
    video.write_bytes(video.read_bytes() + b"more")
    with pytest.raises(OutputError, match="has changed since its rows"):
        source.plan(places.fingerprint(str(video)))


def test_what_a_killed_run_left_is_removed(plan: Plan, tmp_path: Path) -> None:
    source = begun(ArchiveFolder(tmp_path / "out", CONTENTS), plan).folder
    left = source.path / ".part-000000000.123.partial.parquet"
    left.write_bytes(b"half")
    source.pieces.mkdir(parents=True)
    source.piece(0).write_bytes(b"without rows")
    source.tidy()
    assert not left.exists()
    assert not source.piece(0).exists()


def test_sources_are_videos_of_folders_patterns_and_lists(video: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    other = video.rename(tmp_path / "sub" / "b10.mkv")
    write_gops(video, 2)
    (tmp_path / "notes.txt").write_text("# drives\nsub\n\ngone.mp4\n", encoding="utf-8")
    expected = [str(video), str(other)]
    assert places.expand([str(tmp_path), str(video)]) == expected
    assert places.expand([f"{tmp_path}/**/*.m*"]) == expected
    found = places.expand([str(tmp_path / "notes.txt")])
    assert found == [str(other), str(tmp_path / "gone.mp4")]
    with pytest.raises(SourceError, match="names no video"):
        places.expand([str(tmp_path / "gone.mp4")])


def test_a_dry_run_counts_what_is_there_and_names_what_is_not(video: Path) -> None:
    found = estimate([str(video), str(video.with_name("gone.mp4"))], replace(WORK, every=3), 2)
    assert (found.sources, found.frames, found.workers) == (1, 24, 2)
    assert found.segments >= 4
    assert [line for line in found.problems if "gone.mp4 cannot be read" in line]
    assert found.seconds is not None
    assert found.seconds >= 0
    assert json.dumps(found.to_json())


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nowhere"])
def test_a_cluster_that_does_not_answer_is_one_line(address: str) -> None:
    with (
        pytest.raises(RuntimeMissingError, match=r"127\.0\.0\.1:9|nowhere") as caught,
        cluster(address, None, False),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_another_version_of_ray_is_one_line() -> None:
    said = "Version mismatch: The cluster was started with:\n    Ray: 2.0.0\n    Python: 3.9\n"
    with (
        pytest.raises(RuntimeMissingError, match="of another version") as caught,
        _ray_errors("10.0.0.5:6379"),
    ):
        raise RuntimeError(said)
    assert "\n" not in str(caught.value)


def test_a_task_is_made_without_copying_the_other_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver makes a task for each segment; copying all of them each time is quadratic."""
    copied = []
    original = Plan.to_json
    monkeypatch.setattr(Plan, "to_json", lambda plan: (copied.append(plan), original(plan))[1])
    segments = tuple(Segment(first=8 * place, count=8) for place in range(3))
    plan = Plan("a.mp4", "1", 25.0, 24, segments)
    given, segment = json.loads(_task(plan, segments[1])["task"])
    assert [one.segments for one in copied] == [()]
    assert Plan.from_json(given) == replace(plan, segments=())
    assert Segment(**segment) == segments[1]
