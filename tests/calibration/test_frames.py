"""Calibration frames: all kinds of light, no scene twice, the same choice on every machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from videos import read_video, write_video

import calibration.frames
from calibration.errors import CalibrationError
from calibration.frames import CalibrationFrames, open_calibration_frames
from calibration.scenes.dataset import list_pictures, read_picture
from calibration.selection import Descriptor, choose, describe

ROOT = Path(__file__).resolve().parents[2]

Image = NDArray[np.uint8]


def scene(seed: int, light: float = 1.0) -> Image:
    """A picture of coarse random blocks, mean 110 where ``light`` is 1."""
    blocks = np.random.default_rng(seed).integers(20, 200, (6, 8, 3)).astype(np.float32) * light
    return np.clip(cv2.resize(blocks, (64, 48), interpolation=cv2.INTER_NEAREST), 0, 255).astype(
        np.uint8
    )


def noisy(image: Image, seed: int) -> Image:
    noise = np.random.default_rng(seed).integers(-1, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def write(folder: Path, images: list[Image]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        assert cv2.imwrite(str(folder / f"{index:04d}.png"), image)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "drive", [scene(seed) for seed in range(40)])


def refusal(path: Path, count: int = 16) -> str:
    with pytest.raises(CalibrationError) as error:
        open_calibration_frames(path, count)
    text = str(error.value)
    assert "\n" not in text
    return text


def indices(frames: CalibrationFrames) -> list[int]:
    return [int(name.removeprefix("frame ")) for name in frames.names]


# The choice


def test_rare_night_frames_get_more_than_their_share_and_do_not_take_over() -> None:
    images = [scene(seed, 0.15 if seed % 20 == 7 else 1.0) for seed in range(400)]
    chosen = choose([describe(image) for image in images], 100).indices
    night = [index for index in chosen if index % 20 == 7]
    assert 10 <= len(night) <= 20  # 5 % of the frames


def test_every_kind_of_light_is_chosen_at_the_smallest_count() -> None:
    lights = {
        index: (0.1, 0.5, 1.0, 1.6)[index % 50 if index % 50 < 3 else 3] for index in range(300)
    }
    images = [scene(index, light) for index, light in lights.items()]
    chosen = choose([describe(image) for image in images], 16).indices
    assert {lights[index] for index in chosen} == {0.1, 0.5, 1.0, 1.6}


def test_a_near_duplicate_is_taken_only_when_nothing_else_is_left() -> None:
    # A long stop: thirty scenes, with the first one another 170 times with noise.
    images = [scene(seed) for seed in range(30)] + [noisy(scene(0), n) for n in range(170)]
    random = np.random.default_rng(0)
    order = random.permutation(len(images))
    descriptors = [describe(images[index]) for index in order]
    for count in (20, 30):
        scenes = [0 if order[i] >= 30 else order[i] for i in choose(descriptors, count).indices]
        assert len(set(scenes)) == count
    filled = choose(descriptors, 64)
    assert (len(filled.indices), filled.distinct) == (64, 30)


def test_two_places_in_the_same_light_are_both_chosen() -> None:
    images = [noisy(scene(1), n) for n in range(95)] + [noisy(scene(2), n) for n in range(5)]
    chosen = choose([describe(image) for image in images], 16)
    assert any(index >= 95 for index in chosen.indices)
    assert chosen.distinct == 2


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40),
    st.integers(1, 50),
    st.floats(0, 2),
)
@settings(deadline=None, max_examples=50)
def test_a_choice_has_no_frame_twice_and_as_many_as_there_are(
    seeds: list[int], count: int, light: float
) -> None:
    descriptors = [describe(scene(seed, light)) for seed in seeds]
    chosen = choose(descriptors, count)
    assert len(set(chosen.indices)) == len(chosen.indices) == min(count, len(seeds))
    assert list(chosen.indices) == sorted(chosen.indices)
    assert 1 <= chosen.distinct <= min(count, len(set(seeds)))


def test_another_decoders_rounding_does_not_change_the_choice(road_data: Path) -> None:
    images = [read_picture(path) for path in list_pictures(road_data / "camvid" / "val")]
    once = choose([describe(image) for image in images], 32).indices
    again = choose([describe(noisy(image, 0)) for image in images], 32).indices
    assert len(set(once) & set(again)) >= 30


def test_the_frames_of_a_drive_stand_for_all_of_it(road_data: Path) -> None:
    frames = open_calibration_frames(road_data / "camvid" / "val", 32)
    everything = np.array(
        [describe(read_picture(path)) for path in list_pictures(road_data / "camvid" / "val")]
    )
    stems = [path.stem for path in list_pictures(road_data / "camvid" / "val")]

    def farthest(rows: list[int]) -> float:
        distances = np.abs(everything[:, None] - everything[rows][None]).mean(-1)
        return float(distances.min(1).max())

    evenly = list(range(0, 101, 3))[:32]
    assert farthest([stems.index(name) for name in frames.names]) < farthest(evenly)
    assert frames.warnings == ()


# The results for callers


def test_frames_are_read_one_at_a_time_and_as_often_as_wanted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = open_calibration_frames(folder, 20)
    read: list[Path] = []

    def counting(path: Path) -> Image:
        read.append(path)
        return read_picture(path)

    monkeypatch.setattr(calibration.frames, "read_picture", counting)
    iterator = iter(frames)
    assert read == []
    for number in (1, 2, 3):
        image = next(iterator)
        assert len(read) == number
        assert (image.shape, image.dtype) == ((48, 64, 3), np.uint8)
    first, second = list(frames), list(frames)
    assert len(first) == len(frames) == len(frames.names) == 20
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    for name, image in zip(frames.names, first, strict=True):
        assert np.array_equal(image, scene(int(name)))


def test_the_same_pictures_give_the_same_choice_and_fingerprint_anywhere(
    folder: Path, tmp_path: Path
) -> None:
    frames = open_calibration_frames(folder, 20)
    again = open_calibration_frames(folder, 20)
    assert (again.names, again.fingerprint) == (frames.names, frames.fingerprint)
    moved = tmp_path / "elsewhere" / "images"
    shutil.copytree(folder, moved)
    for file in moved.iterdir():
        file.rename(file.with_name(f"x{file.name}"))
    found = open_calibration_frames(moved.parent, 20)
    assert found.fingerprint == frames.fingerprint
    assert found.names == tuple(f"x{name}" for name in frames.names)


def test_the_fingerprint_follows_the_chosen_pictures_only(folder: Path) -> None:
    frames = open_calibration_frames(folder, 20)
    left_out = next(file for file in folder.iterdir() if file.stem not in frames.names)
    left_out.write_bytes(left_out.read_bytes() + b" ")  # the same picture, another file
    assert open_calibration_frames(folder, 20).fingerprint == frames.fingerprint
    chosen = folder / f"{frames.names[3]}.png"
    chosen.write_bytes(chosen.read_bytes() + b" ")
    changed = open_calibration_frames(folder, 20)
    assert changed.names == frames.names
    assert changed.fingerprint != frames.fingerprint


def test_the_source_is_a_name_and_no_path(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_calibration_frames(folder, 16).source == "drive"
    monkeypatch.chdir(folder)
    assert open_calibration_frames(Path(), 16).source == "drive"
    video = write_video(tmp_path / "night.avi", [scene(seed) for seed in range(20)], "MJPG")
    assert open_calibration_frames(video, 16).source == "night.avi"


def test_of_very_many_pictures_evenly_spaced_ones_are_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration.frames, "_CANDIDATES", 20)
    frames = open_calibration_frames(folder, 16)
    assert all(index % 2 == 0 for index in indices(frames))
    assert len(frames) == 16


def test_the_first_pass_reports_its_progress(folder: Path) -> None:
    shares: list[float] = []
    open_calibration_frames(folder, 16, lambda what, share: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


# Videos


@pytest.mark.parametrize(("codec", "suffix"), [("MJPG", "avi"), ("mp4v", "mp4")])
def test_a_video_gives_the_frames_of_its_numbers(codec: str, suffix: str, tmp_path: Path) -> None:
    images = [scene(seed // 2) for seed in range(60)]
    path = write_video(tmp_path / f"drive.{suffix}", images, codec)
    frames = open_calibration_frames(path, 24)
    decoded = read_video(path)[0]
    assert len(frames) == 24
    assert len({index // 2 for index in indices(frames)}) == 24  # no scene twice
    for index, name, image in zip(indices(frames), frames.names, frames, strict=True):
        assert name == f"frame {index:06d}"
        assert np.array_equal(image, decoded[index])
    again = open_calibration_frames(path, 24)
    assert (again.names, again.fingerprint) == (frames.names, frames.fingerprint)


def test_of_a_long_video_evenly_spaced_frames_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration.frames, "_CANDIDATES", 30)
    path = write_video(tmp_path / "long.avi", [scene(seed) for seed in range(100)], "MJPG")
    frames = open_calibration_frames(path, 16)
    assert all(index % 4 == 0 for index in indices(frames))
    assert max(indices(frames)) > 80


def test_a_video_is_named_by_its_bytes_and_numbers(tmp_path: Path) -> None:
    images = [scene(seed) for seed in range(40)]
    one = open_calibration_frames(write_video(tmp_path / "a.avi", images, "MJPG"), 16)
    other = open_calibration_frames(write_video(tmp_path / "b.avi", images[:-1], "MJPG"), 16)
    more = open_calibration_frames(tmp_path / "a.avi", 17)
    assert len({one.fingerprint, other.fingerprint, more.fingerprint}) == 3


def test_a_video_that_was_cut_off_is_used_with_a_warning(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cut.avi", [scene(seed) for seed in range(60)], "MJPG")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    frames = open_calibration_frames(path, 16)
    assert len(list(frames)) == 16
    (warning,) = frames.warnings
    assert "where its container promises 60" in warning


def test_a_video_that_changed_since_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "drive.avi", [scene(seed) for seed in range(60)], "MJPG")
    frames = open_calibration_frames(path, 32)
    write_video(path, [scene(seed) for seed in range(20)], "MJPG")
    with pytest.raises(CalibrationError, match="could be read before and cannot be read now"):
        list(frames)


def test_a_road_video_gives_different_frames_of_the_whole_drive(road_data: Path) -> None:
    frames = open_calibration_frames(road_data / "videos" / "camvid_0016E5_val_15fps.mp4", 32)
    assert len(list(frames)) == 32
    assert frames.warnings == ()
    assert {index // 25 for index in indices(frames)} >= {0, 1, 2, 3}


def test_nine_seconds_of_a_motorway_are_said_to_be_alike(road_data: Path) -> None:
    frames = open_calibration_frames(road_data / "videos" / "udacity_solidWhiteRight.mp4")
    assert len(frames) == 128
    (warning,) = frames.warnings
    assert "nearly alike" in warning
    assert "of 128 differ by 2 grey levels" in warning


# Bad input


def test_too_few_frames_are_refused_with_their_number(tmp_path: Path) -> None:
    text = refusal(write(tmp_path / "few", [scene(seed) for seed in range(15)]), 128)
    assert "has 15 usable frames, expected at least 16" in text
    assert "random noise is never used" in text


def test_asking_for_too_few_frames_is_refused(folder: Path) -> None:
    text = refusal(folder, 8)
    assert text.startswith("8 calibration frames were asked for, expected at least 16; 128 is")


def test_fewer_frames_than_asked_are_all_used_with_a_warning(folder: Path) -> None:
    frames = open_calibration_frames(folder, 128)
    assert indices(frames) == list(range(40))
    assert frames.warnings == ("128 calibration frames were asked for, 40 are usable",)


def test_frames_that_are_all_alike_are_warned_about_with_the_figure(tmp_path: Path) -> None:
    write(tmp_path / "parked", [noisy(scene(0), n) for n in range(40)])
    frames = open_calibration_frames(tmp_path / "parked", 20)
    (warning,) = frames.warnings
    assert "nearly alike: only 1 of 20 differ by 2 grey levels" in warning


def test_pictures_that_cannot_be_read_are_left_out_and_named(folder: Path) -> None:
    for index in (3, 5, 8, 13):
        (folder / f"{index:04d}.png").write_bytes(b"not a picture")
    (folder / "0021.png").write_bytes(b"")
    frames = open_calibration_frames(folder, 20)
    assert not {3, 5, 8, 13, 21} & set(indices(frames))
    (warning,) = frames.warnings
    assert warning.startswith("5 of 40 pictures cannot be read")
    assert warning.endswith("0003.png, 0005.png, 0008.png and 2 more")


def test_the_reason_stands_beside_the_number_where_most_pictures_are_broken(folder: Path) -> None:
    for index in range(30):
        (folder / f"{index:04d}.png").write_bytes(b"not a picture")
    text = refusal(folder)
    assert "has 10 usable frames" in text
    assert "30 of 40 pictures cannot be read" in text


def make_nothing(path: Path) -> Path:
    return path / "none"


def make_empty_folder(path: Path) -> Path:
    return path


def make_text(path: Path) -> Path:
    (path / "video.mp4").write_text("no video")
    return path / "video.mp4"


def make_empty_file(path: Path) -> Path:
    (path / "video.mp4").touch()
    return path / "video.mp4"


def make_headless_video(path: Path) -> Path:
    """An mp4 that was cut before its index, which is at the end."""
    content = write_video(path / "v.mp4", [scene(s) for s in range(60)]).read_bytes()
    (path / "v.mp4").write_bytes(content[: len(content) // 2])
    return path / "v.mp4"


def make_one_picture(path: Path) -> Path:
    return write(path, [scene(0)]) / "0000.png"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (make_nothing, "does not exist; give a folder"),
        (make_empty_folder, "no pictures in this folder"),
        (make_text, "(8 bytes) is no video that can be opened"),
        (make_empty_file, "(0 bytes) is no video that can be opened"),
        (make_headless_video, "is no video that can be opened"),
        (make_one_picture, "has 1 usable frames"),
    ],
)
def test_what_holds_no_frames_is_refused_and_noise_is_never_used(
    make: Callable[[Path], Path], said: str, tmp_path: Path
) -> None:
    path = make(tmp_path)
    text = refusal(path)
    assert said in text
    assert str(path) in text
    assert "random noise is never used instead" in text


def test_a_broken_video_is_refused_in_our_words_only(tmp_path: Path) -> None:
    # In a separate process: FFmpeg takes its log level when the first video is opened.
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from calibration.errors import CalibrationError\n"
        "from calibration.frames import open_calibration_frames\n"
        "try: open_calibration_frames(Path(sys.argv[1]))\n"
        "except CalibrationError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(make_headless_video(tmp_path))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "is no video that can be opened" in done.stdout


def test_a_descriptor_does_not_depend_on_the_pictures_size() -> None:
    large: Image = np.asarray(
        cv2.resize(scene(3), (640, 480), interpolation=cv2.INTER_NEAREST), np.uint8
    )
    small: Descriptor = describe(scene(3))
    assert np.abs(describe(large) - small).max() <= 1
