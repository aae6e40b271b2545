"""Segments of videos, decoded one by one, give the same frames as ``run``; Ray is not needed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from gop_videos import damage, write_gops
from timed_videos import trimmed, with_matrix, write_timed

from pipeline.errors import SourceError
from pipeline.stream.archive.decoding import SeamError, SegmentFrames
from pipeline.stream.archive.plan import Plan, plan_video
from pipeline.stream.frame import Frame
from pipeline.stream.sources import SourceOptions, open_source


def planned(path: Path) -> Plan:
    return plan_video(path, str(path), "1", least=10)


def by_segments(path: Path, plan: Plan, every: int = 1) -> list[Frame]:
    return [
        frame
        for segment in reversed(plan.segments)  # any order: each is independent
        for frame in SegmentFrames(str(path), segment, every)
    ]


def read(path: Path, every: int = 1) -> list[Frame]:
    with open_source(str(path), SourceOptions(every=every)) as source:
        return list(iter(source.read, None))


def assert_same(mine: list[Frame], theirs: list[Frame]) -> None:
    mine = sorted(mine, key=lambda frame: frame.index)
    assert [(f.index, f.name) for f in mine] == [(f.index, f.name) for f in theirs]
    assert [f.seconds for f in mine] == [f.seconds for f in theirs]
    for a, b in zip(mine, theirs, strict=True):
        assert np.array_equal(a.image, b.image), a.index


KINDS = {
    "open GOPs, H.264": ("a.mp4", "libx264", "open-gop=1:keyint=16:bframes=3:scenecut=0"),
    "closed GOPs in Matroska": ("a.mkv", "libx264", "keyint=16:bframes=3:scenecut=0"),
    "open GOPs, H.265": ("a.mp4", "libx265", "open-gop=1:keyint=16:bframes=4:log-level=none"),
    "a transport stream": ("a.ts", "libx264", "open-gop=1:keyint=16:bframes=3:scenecut=0"),
    "MPEG-4 in AVI": ("a.avi", "mpeg4", ""),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("every", [1, 3])
def test_segments_hold_each_frame_once_with_the_pixels_and_times_of_run(
    kind: str, every: int, tmp_path: Path
) -> None:
    name, codec, parameters = KINDS[kind]
    path = write_gops(tmp_path / name, 70, codec, parameters)
    plan = planned(path)
    assert plan.whole is None
    assert len(plan.segments) >= 4
    assert sum(segment.count or 0 for segment in plan.segments) == plan.frames == 70
    assert_same(by_segments(path, plan, every), read(path, every))


def test_a_cut_off_beginning_stays_out(tmp_path: Path) -> None:
    whole = write_gops(tmp_path / "whole.mp4", 70)
    path = trimmed(tmp_path / "trimmed.mp4", whole, 0.8)
    plan = planned(path)
    frames = read(path)
    assert len(frames) == 50
    assert plan.whole is None
    assert_same(by_segments(path, plan), frames)


def test_a_turned_video_is_turned(tmp_path: Path) -> None:
    path = with_matrix(write_gops(tmp_path / "a.mp4", 40), 0, 1, -1, 0)
    plan = planned(path)
    assert plan.whole is None
    frames = read(path)
    assert frames[0].image.shape == (96, 64, 3)
    assert_same(by_segments(path, plan), frames)


def test_neighbours_see_the_same_picture_where_they_meet(tmp_path: Path) -> None:
    path = write_gops(tmp_path / "a.mp4", 70)
    seams = []
    for segment in planned(path).segments:
        frames = SegmentFrames(str(path), segment)
        list(frames)
        seams.append(frames.seams)
    assert seams[0].entry is not None
    assert [one.exit for one in seams] == [*(one.entry for one in seams[1:]), None]
    assert len({one.entry for one in seams}) == len(seams)


def test_what_calls_itself_a_key_frame_and_is_none_tears_the_segment(tmp_path: Path) -> None:
    """With intra refresh only the first frame is complete; decoders hold back the others."""
    path = write_gops(tmp_path / "a.mp4", 70, parameters="intra-refresh=1:keyint=16:bframes=0")
    plan = planned(path)
    assert len(plan.segments) == 5
    with pytest.raises(SeamError, match="12 frames came of the 16 from 16 on"):
        list(SegmentFrames(str(path), plan.segments[1]))


def test_a_video_whose_pixels_are_not_square_is_read_as_a_whole(tmp_path: Path) -> None:
    path = write_timed(tmp_path / "a.mp4", range(0, 2000, 40), aspect=Fraction(4, 3))
    plan = planned(path)
    assert plan.whole == "its first frame differs when it is decoded from its packets"
    assert [segment.count for segment in plan.segments] == [None]


def test_damage_tears_a_segment(tmp_path: Path) -> None:
    path = damage(tmp_path / "damaged.mp4", write_gops(tmp_path / "a.mp4", 70))
    plan = planned(path)
    with pytest.raises((SeamError, OSError, ValueError)):
        by_segments(path, plan)


def test_what_is_no_video_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"nothing")
    with pytest.raises(SourceError, match="no frame of"):
        planned(path)


def test_a_plan_is_the_same_after_it_was_written(tmp_path: Path) -> None:
    plan = planned(write_gops(tmp_path / "a.mp4", 70))
    assert Plan.from_json(plan.to_json()) == plan
