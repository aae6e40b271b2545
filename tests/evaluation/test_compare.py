"""Comparing two sessions: figures computed by hand, pictures of differences, the command."""

from __future__ import annotations

import json
import shutil
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.errors import DataError
from calibration.scenes.dataset import open_labelled_folder
from models.classes import CAMVID, ClassSet
from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.cli import main
from pipeline.engine.manifest import Engine, load_engine
from pipeline.errors import EngineError, OutputError
from pipeline.evaluation.ab_timing import Interleaved
from pipeline.evaluation.accuracy import evaluate
from pipeline.evaluation.compare import Comparison, check_same_classes, compare_sessions
from pipeline.evaluation.disagreement import (
    HIGHLIGHT,
    Disagreement,
    draw_disagreement,
    write_disagreements,
)
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.session import Capabilities, ClassMaps, Frames, Session, TensorSpec
from pipeline.stream.frame import Frame

CLASSES = ClassSet(("road", "car", "sky"), ((128, 64, 128), (64, 0, 128), (128, 128, 128)))
VOID = CLASSES.void

Captured = pytest.CaptureFixture[str]


class Scripted(Session):
    """Returns the class map whose index is in the frame's first pixel."""

    def __init__(self, *maps: list[list[int]]) -> None:
        self.input_spec = TensorSpec("frames", "uint8", (None, None, None, 3), "NHWC")
        self.output_spec = TensorSpec("classes", "uint8", (None, None, None), "NHW")
        self.capabilities = Capabilities("scripted", "none", "none")
        self._maps = [np.array(one, np.uint8) for one in maps]
        self.runs = 0

    def _run(self, frames: Frames) -> ClassMaps:
        self.runs += 1
        return np.stack([self._maps[frame[0, 0, 0]] for frame in frames])

    def close(self) -> None:
        pass


def frame(
    index: int, size: tuple[int, int] = (2, 3), label: list[list[int]] | None = None
) -> Frame:
    image = np.full((*size, 3), index, np.uint8)
    return Frame(
        image, index, 0.0, f"f{index}", None if label is None else np.array(label, np.uint8)
    )


A = ([[0, 0, 1], [0, 1, 2]], [[0, 0, 0], [0, 0, 0]])
B = ([[0, 1, 1], [0, 1, 0]], [[0, 0, 0], [0, 0, 2]])
LABEL = [[0, 0, 1], [0, 1, VOID]]


def compared(*frames: Frame, keep: int = 0) -> Comparison:
    return compare_sessions(Scripted(*A), Scripted(*B), frames, CLASSES, measure=False, keep=keep)


def test_agreement_counts_every_pixel_by_the_class_that_a_gives() -> None:
    result = compared(frame(0), frame(1))
    assert result.frames == 2
    assert result.pixel_agreement == pytest.approx(9 / 12)
    assert result.agreement == {"road": pytest.approx(7 / 9), "car": 1.0, "sky": 0.0}
    assert (result.worst_frame.name, result.worst_frame.pixel_agreement) == (
        "f0",
        pytest.approx(4 / 6),
    )
    assert [(one.a, one.b, one.share) for one in result.changes] == [
        ("road", "car", pytest.approx(1 / 12)),
        ("road", "sky", pytest.approx(1 / 12)),
        ("sky", "road", pytest.approx(1 / 12)),
    ]


def test_a_class_that_a_never_gives_has_no_agreement() -> None:
    assert compared(frame(1)).agreement == {"road": pytest.approx(5 / 6), "car": None, "sky": None}


def test_iou_is_of_labelled_pixels_and_labelled_frames_only() -> None:
    result = compared(frame(0, label=LABEL), frame(1))
    assert result.scores is not None
    a, b = result.scores
    assert a.iou == {"road": 1.0, "car": 1.0, "sky": None}
    assert b.iou == {"road": pytest.approx(2 / 3), "car": pytest.approx(2 / 3), "sky": None}
    assert result.miou_drop == pytest.approx(1 / 3)
    assert result.iou_difference["road"] == pytest.approx(-1 / 3)
    assert result.iou_difference["sky"] is None
    document = result.to_json()
    assert document["labelled_frames"] == 1
    assert document["miou"] == [1.0, pytest.approx(2 / 3)]
    assert document["pixel_agreement"] == pytest.approx(9 / 12)  # void or not, labelled or not
    assert json.loads(json.dumps(document)) == document


def test_without_labels_there_is_no_miou() -> None:
    result = compared(frame(0))
    assert result.miou_drop is None
    assert result.iou_difference == {}
    assert result.to_json()["miou"] is None
    assert result.to_json()["fps"] is None


def test_a_channel_named_void_agrees_like_any_other_and_is_not_scored() -> None:
    classes = replace(CLASSES, names=("road", "car", "void"), void=2)
    label = [[0, 0, 1], [0, 1, 2]]
    result = compare_sessions(
        Scripted(*A), Scripted(*B), [frame(0, label=label)], classes, measure=False
    )
    assert result.agreement == {"road": pytest.approx(2 / 3), "car": 1.0, "void": 0.0}
    assert result.scores is not None
    assert result.scores[0].iou == {"road": 1.0, "car": 1.0}


def test_maps_of_other_sizes_are_compared_at_the_size_of_the_frame() -> None:
    a = Scripted([[1]])
    b = Scripted([[0, 1]])  # of 5 columns, the left 3 are nearest to the first
    result = compare_sessions(a, b, [frame(0, (3, 5))], CLASSES, measure=False, keep=1)
    assert result.pixel_agreement == pytest.approx(6 / 15)
    assert result.kept[0].b.tolist() == [[0, 0, 0, 1, 1]] * 3


def test_frames_of_several_sizes_count_by_their_pixels() -> None:
    a, b = Scripted([[0]], [[0]]), Scripted([[0]], [[1]])
    frames = [frame(0, (1, 3)), frame(1, (7, 1))]
    result = compare_sessions(a, b, frames, CLASSES)
    assert result.pixel_agreement == pytest.approx(3 / 10)


def test_the_frames_that_differ_most_are_kept_in_order() -> None:
    result = compared(frame(1), frame(0), frame(1), keep=2)
    assert [one.name for one in result.kept] == ["f0", "f1"]
    assert result.kept[0].agreement == pytest.approx(4 / 6)
    assert np.array_equal(result.kept[0].b, B[0])
    same = compare_sessions(Scripted(*A), Scripted(*A), [frame(0)], CLASSES, keep=2)
    assert same.kept == ()
    assert same.worst_frame.pixel_agreement == 1


def test_frames_are_let_go_of_while_others_come() -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def endless() -> Iterator[Frame]:
        nonlocal most
        for i in range(50):
            one = frame(i % 2)
            alive.append(weakref.ref(one.image))
            yield one
            del one
            most = max(most, sum(ref() is not None for ref in alive))

    compare_sessions(Scripted(*A), Scripted(*B), endless(), CLASSES, measure=False, keep=2)
    assert most <= 2 + 1  # those kept, and the current one


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "at least one picture"),
        ([frame(0, label=[[VOID] * 3] * 2)], "no labelled pixel"),
    ],
)
def test_frames_that_say_nothing_are_refused(frames: list[Frame], message: str) -> None:
    with pytest.raises(DataError, match=message):
        compared(*frames)


def test_a_session_of_other_classes_is_refused() -> None:
    strange = Scripted([[0, 0, 7]])
    with pytest.raises(EngineError, match="b gave class index 7, expected 0 to 2"):
        compare_sessions(Scripted([[0]]), strange, [frame(0)], CLASSES)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(CLASSES, names=("road", "van", "sky")), "class 1 is car in the first and van"),
        (ClassSet(CLASSES.names[:2], CLASSES.palette[:2]), "class 2 is sky in the first and no"),
        (replace(CLASSES, void=3), "void is 255 in the labels of the first, 3 of the second"),
    ],
)
def test_the_first_difference_of_two_class_sets_is_named(other: ClassSet, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        check_same_classes(CLASSES, other, ("one", "two"))


def test_class_sets_may_differ_in_their_colours() -> None:
    check_same_classes(CLASSES, replace(CLASSES, palette=((1, 2, 3),) * 3), ("one", "two"))


class Clocked(Scripted):
    """Advances a clock by each run's time, in milliseconds, and records the order of runs."""

    def __init__(self, name: str, times: list[float], clock: list[float], log: list[str]) -> None:
        super().__init__([[0]])
        self._name, self._times, self._clock, self._log = name, iter(times), clock, log

    def _run(self, frames: Frames) -> ClassMaps:
        self._log.append(self._name)
        self._clock[0] += next(self._times) / 1000
        return super()._run(frames)


def test_two_sessions_are_timed_in_turn_after_a_warm_up() -> None:
    clock, log = [0.0], []
    a = Clocked("a", [500] * 3 + [10, 20, 30], clock, log)
    b = Clocked("b", [500] * 3 + [5, 5, 10], clock, log)
    both = Interleaved(a, b, clock=lambda: clock[0])
    for _ in range(3):
        both.run(frame(0).image)
    assert "".join(log) == "ababab" + "ab" + "ba" + "ab"
    speed = both.speed()
    assert speed is not None
    assert (speed.latency[0].p50, speed.latency[1].p50) == (pytest.approx(20), pytest.approx(5))
    assert speed.fps == (pytest.approx(50), pytest.approx(200))
    assert speed.speedup == pytest.approx(4)  # 20 / 5
    assert speed.pair_quartiles == pytest.approx((2, 3, 4))  # of 10/5, 20/5, 30/10, nearest rank
    assert speed.to_json()["pairs"] == 3


def test_a_frame_of_a_new_size_is_warmed_up_for() -> None:
    clock, log = [0.0], []
    a, b = (Clocked(name, [1] * 9, clock, log) for name in "ab")
    both = Interleaved(a, b, clock=lambda: clock[0])
    both.run(frame(0).image)
    both.run(frame(0, (4, 4)).image)
    assert "".join(log) == "ababab" + "ab" + "ab" + "ba"


def test_what_is_not_measured_runs_once() -> None:
    a, b = Scripted(*A), Scripted(*B)
    compare_sessions(a, b, [frame(0), frame(1)], CLASSES, measure=False)
    assert (a.runs, b.runs) == (2, 2)


def differing(size: tuple[int, int], *places: tuple[int, int]) -> Disagreement:
    a = np.zeros(size, np.uint8)
    b = a.copy()
    for place in places:
        b[place] = 1
    image = np.full((*size, 3), 200, np.uint8)
    return Disagreement("f", image, a, b, float(np.mean(a == b)))


def highlighted(picture: np.ndarray) -> int:
    """Return the pixels in the highlight's colour, except its swatch in the lower half."""
    return int((picture[: len(picture) // 2] == HIGHLIGHT).all(axis=2).sum())


def test_a_picture_highlights_exactly_the_pixels_that_differ() -> None:
    places = ((0, 0), (100, 200), (100, 201), (359, 479))
    picture = draw_disagreement(differing((360, 480), *places), CLASSES, ("one", "two"))
    assert highlighted(picture) == len(places)


def test_a_single_pixel_of_a_large_frame_is_seen() -> None:
    picture = draw_disagreement(differing((1080, 1920), (501, 1003)), CLASSES, ("one", "two"))
    assert highlighted(picture) == 1


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (2000, 3), (3, 2000), (361, 479)])
def test_a_picture_has_one_width_whatever_the_frame(size: tuple[int, int]) -> None:
    frame = replace(differing(size, (0, 0)), name="Straße" * 40)
    picture = draw_disagreement(frame, CLASSES, ("one" * 100, "two"))
    assert picture.shape[1] == 984
    assert highlighted(picture) >= 1


def test_pictures_of_an_earlier_comparison_do_not_stay(tmp_path: Path) -> None:
    frames = [differing((4, 4), (0, 0)), differing((4, 4), (1, 1))]
    assert len(write_disagreements(tmp_path, frames, CLASSES, ("one", "two"))) == 2
    written = write_disagreements(tmp_path, frames[:1], CLASSES, ("one", "two"))
    assert list(tmp_path.iterdir()) == written == [tmp_path / "difference-1.png"]


# The command, on engines of a small network.


@pytest.fixture(scope="module")
def other_engine(small_options: BuildOptions, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The same network on smaller pictures."""
    options = replace(small_options, size=(96, 72), output=tmp_path_factory.mktemp("other"))
    return build(options, lambda what, share: None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    random = np.random.default_rng(0)
    for i in range(4):
        coarse = random.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / f"{i}.png"), cv2.resize(coarse, (121, 91)))
        cv2.imwrite(str(folder / "labels" / f"{i}.png"), random.integers(0, 12, (91, 121)))
    return folder


def compare_json(capsys: Captured, *arguments: object) -> dict[str, object]:
    assert main(["compare", *map(str, arguments), "--json"]) == 0
    document: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return document


def error_of(capsys: Captured, *arguments: object) -> str:
    assert main(["compare", *map(str, arguments)]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_compare_gives_the_figures_that_evaluate_gives(
    capsys: Captured, small_engine: Engine, other_engine: Engine, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    document = compare_json(
        capsys, small_engine.path, other_engine.path, "--data", data, "--pictures", folder
    )
    scores = []
    for engine in (small_engine, other_engine):
        with open_session(engine) as session:
            scores.append(evaluate(session, open_labelled_folder(data, CAMVID), CAMVID))
    assert document["miou"] == [one.miou for one in scores]
    assert document["iou"] == [one.iou for one in scores]
    assert document["frames"] == document["labelled_frames"] == document["pairs"] == 4
    assert 0 < document["pixel_agreement"] < 1  # type: ignore[operator]
    assert all(fps > 0 for fps in document["fps"])  # type: ignore[attr-defined]
    assert any("120x90 in a and 96x72 in b" in note for note in document["notes"])  # type: ignore[attr-defined]
    pictures = [cv2.imread(path) for path in document["pictures"]]  # type: ignore[attr-defined]
    assert [picture.shape[1] for picture in pictures] == [984] * 4


def test_compare_prints_the_class_that_lost_most_first(
    capsys: Captured, small_engine: Engine, other_engine: Engine, data: Path
) -> None:
    command = ["compare", str(small_engine.path), str(other_engine.path), "--data", str(data)]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if "IoU a" in line) + 1
    rows = [line.split() for line in lines[start : start + len(CAMVID)]]
    assert {row[0] for row in rows} == set(CAMVID.names)
    differences = [float(row[3]) for row in rows if row[3] != "-"]
    assert differences == sorted(differences)
    assert any(line.startswith("b is ") for line in lines)


def test_pictures_without_labels_are_compared_without_miou(
    capsys: Captured, small_engine: Engine, other_engine: Engine, data: Path
) -> None:
    engines = (small_engine.path, other_engine.path)
    document = compare_json(capsys, *engines, "--data", data / "images", "--frames", 2)
    assert document["miou"] is None
    assert document["frames"] == 2
    assert document["worst_frame"]["name"] in {"0", "2"}  # type: ignore[index]  # spread evenly
    assert main(["compare", *map(str, engines), "--data", str(data / "images")]) == 0
    assert "has no labels/: mIoU was not measured" in capsys.readouterr().out


def test_one_engine_twice_is_allowed_and_said(
    capsys: Captured, small_engine: Engine, data: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(small_engine.folder, tmp_path / "copy") / small_engine.path.name
    pictures = tmp_path / "pictures"
    arguments = (small_engine.path, copy, "--data", data, "--pictures", pictures)
    document = compare_json(capsys, *arguments)
    assert document["pixel_agreement"] == 1
    assert document["pictures"] == list(pictures.iterdir()) == []
    notes = " ".join(document["notes"])  # type: ignore[arg-type]
    assert "same engine" in notes
    assert "no picture was drawn" in notes


@pytest.fixture
def changed_engine(small_engine: Engine, tmp_path: Path) -> Callable[[str, str], Path]:
    """A copy of the engine with a text replaced in its manifest."""

    def change(old: str, new: str) -> Path:
        folder = shutil.copytree(small_engine.folder, tmp_path / "changed")
        manifest = folder / f"{small_engine.manifest.name}.json"
        text = manifest.read_text(encoding="utf-8")
        assert old in text
        manifest.write_text(text.replace(old, new), encoding="utf-8")
        return Path(folder) / small_engine.path.name

    return change


def test_engines_of_other_classes_are_refused_with_the_first_difference(
    capsys: Captured, small_engine: Engine, changed_engine: Callable[[str, str], Path], data: Path
) -> None:
    other = changed_engine('"Road"', '"Street"')
    assert load_engine(other).manifest.classes != CAMVID
    line = error_of(capsys, small_engine.path, other, "--data", data)
    assert "class 3 is Road in the first and Street in the second" in line


def test_an_engine_that_cannot_run_here_is_named(
    capsys: Captured, small_engine: Engine, changed_engine: Callable[[str, str], Path], data: Path
) -> None:
    other = changed_engine('"runtime": "openvino"', '"runtime": "elsewhere"')
    line = error_of(capsys, small_engine.path, other, "--data", data)
    assert f"{other}: elsewhere engines cannot be run" in line


def test_damaged_pictures_are_named(
    capsys: Captured, small_engine: Engine, other_engine: Engine, data: Path
) -> None:
    engines = (small_engine.path, other_engine.path)
    (data / "images" / "1.png").write_bytes(b"no picture")
    assert "1.png: cannot be decoded" in error_of(capsys, *engines, "--data", data)
    # Without labels the other figures are compared, and the loss is an error.
    assert main(["compare", *map(str, engines), "--data", str(data / "images"), "--json"]) == 1
    written = capsys.readouterr()
    assert json.loads(written.out)["frames"] == 3
    assert "4 pictures, 1 of them cannot be read and were skipped: 1.png" in written.err


@pytest.mark.parametrize("what", ["missing", "empty", "labels only"])
def test_data_without_pictures_is_one_line(
    capsys: Captured, small_engine: Engine, tmp_path: Path, what: str
) -> None:
    folder = tmp_path / "folder"
    if what != "missing":
        (folder / ("labels" if what == "labels only" else "")).mkdir(parents=True)
    line = error_of(capsys, small_engine.path, small_engine.path, "--data", folder)
    assert str(folder) in line


def test_data_is_asked_for(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["compare", "a.xml", "b.xml"])
    assert stop.value.code == 2
    assert "error: the following arguments are required: --data" in capsys.readouterr().err


def test_no_file_of_the_user_is_replaced_by_a_picture(
    capsys: Captured, small_engine: Engine, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    mine = folder / "difference-3.png"
    mine.write_bytes(b"precious")
    arguments = (small_engine.path, small_engine.path, "--data", data, "--pictures")
    assert "was not written by roadseg" in error_of(capsys, *arguments, folder)
    assert mine.read_bytes() == b"precious"
    assert "cannot be written" in error_of(capsys, *arguments, mine)


def test_a_full_disk_is_an_error_of_outputs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        write_disagreements(tmp_path, [differing((4, 4), (0, 0))], CLASSES, ("one", "two"))
    assert list(tmp_path.iterdir()) == []
