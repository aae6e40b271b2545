"""The picture of a run: loss and validation mIoU over the steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pipeline.errors import OutputError
from pipeline.train.curves import draw_comparison, draw_curves, write_curves
from pipeline.train.runlog import RunLog, in_words

SVG = "{http://www.w3.org/2000/svg}"
ROWS: list[dict[str, Any]] = [
    {"step": 20, "loss": 2.0},
    {"step": 40, "loss": 1.5},
    {"step": 40, "miou": 0.25},
    {"step": 60, "loss": 1.25},
    {"step": 80, "loss": 1.0},
    {"step": 80, "miou": 0.5},
    {"step": 120, "miou": 0.4},
]


def lines(svg: str) -> list[list[tuple[float, float]]]:
    """Return the points of every curve, in pixels."""
    found = ElementTree.fromstring(svg).iter(f"{SVG}polyline")
    return [
        [
            (float(x), float(y))
            for x, y in (pair.split(",") for pair in line.attrib["points"].split())
        ]
        for line in found
    ]


def words(svg: str) -> list[str | None]:
    return [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_both_curves_are_drawn_to_scale_within_the_picture() -> None:
    loss, miou = lines(draw_curves("a run", ROWS))
    assert len(loss) == 4
    assert len(miou) == 3
    assert all(60 <= x <= 700 and 0 < y < 460 for x, y in loss + miou)
    assert [y for _, y in loss] == sorted(y for _, y in loss)  # it falls: y grows downwards
    steps = [(x - 60) / 640 * 120 for x, _ in loss]
    assert steps == pytest.approx([20, 40, 60, 80], abs=0.02)
    (_, start), (_, best), (_, end) = miou
    assert (end - start) / (best - start) == pytest.approx((40 - 25) / (50 - 25), abs=0.01)
    assert max(y for _, y in loss) < min(y for _, y in miou)


def test_the_best_validation_is_named() -> None:
    assert "best 50.0 at step 80" in words(draw_curves("a run", ROWS))


def test_of_two_rows_of_one_step_the_last_counts() -> None:
    again = [*ROWS, {"step": 80, "loss": 3.0}]
    assert len(lines(draw_curves("a run", again))[0]) == 4
    assert "3" in words(draw_curves("a run", again))


@pytest.mark.parametrize(
    "rows", [[], ROWS[:1], ROWS[2:3], [{"step": 20, "loss": 1.0}, {"step": 40, "loss": 1.0}]]
)
def test_a_run_that_has_hardly_begun_can_be_drawn(rows: list[dict[str, Any]]) -> None:
    svg = draw_curves("a run", rows)
    assert all(0 < y < 460 for line in lines(svg) for _, y in line)
    assert words(svg)[0] == "a run"
    assert ("none yet" in words(svg)) == (len({*(k for r in rows for k in r)}) < 3)


def test_a_long_run_is_a_small_picture() -> None:
    rows = [{"step": 20 * i, "loss": 1 / (1 + i)} for i in range(1, 5000)]
    svg = draw_curves("a run", rows)
    (loss,) = lines(svg)
    assert 120 <= len(loss) <= 240
    assert len(svg) < 10_000


def test_names_are_escaped() -> None:
    assert words(draw_curves("<b> & co", []))[0] == "<b> & co"


def test_the_picture_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "curves.svg"
    for rows in (ROWS[:2], ROWS):
        write_curves(path, "a run", rows)
    assert path.read_text() == draw_curves("a run", ROWS)
    assert list(tmp_path.iterdir()) == [path]


def test_a_row_of_the_log_reads_as_a_sentence() -> None:
    row = {"step": 20, "seconds": 12.4, "loss": 1.23456, "rate": 3e-4}
    assert in_words(row) == "step 20, 12 s, loss 1.235, rate 3.0e-04"
    row = {"step": 40, "seconds": 30.0, "miou": 0.5, "pixel_accuracy": 0.75, "iou": {}, "rate": 0.0}
    assert in_words(row) == "step 40, 30 s, val mIoU 50.0, pixel accuracy 75.0, rate 0.0e+00"


def test_runs_that_are_compared_share_one_scale_and_are_named_in_their_colours() -> None:
    svg = draw_comparison("two", {"a": [(100, 40.0), (50, 20.0)], "b": [(50, 40.0)], "none": []})
    (start, end), (other,) = lines(svg)
    assert start[0] == other[0] < end[0]
    assert other[1] == end[1] < start[1]
    strokes = [
        line.attrib["class"].removeprefix("line ")
        for line in ElementTree.fromstring(svg).iter(f"{SVG}polyline")
    ]
    texts = ElementTree.fromstring(svg).iter(f"{SVG}text")
    named = {text.text: text.attrib["class"] for text in texts if text.text in ("a", "b", "none")}
    assert named == dict(zip(("a", "b"), strokes, strict=True))
    assert len(set(strokes)) == 2


def test_a_comparison_of_nothing_is_an_empty_page() -> None:
    assert lines(draw_comparison("nothing", {})) == []


def test_a_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    """Another program may remove it during a run."""
    log = RunLog(tmp_path / "gone" / "log.jsonl")
    for write in (
        lambda: log.append({"step": 1, "seconds": 0.0}),
        lambda: log.cut(0),
        lambda: write_curves(tmp_path / "gone" / "curves.svg", "a run", []),
    ):
        with pytest.raises(OutputError, match=r"gone/.*cannot be written .*--resume"):
            write()


def test_damaged_lines_of_a_log_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 1, "loss": 2.0}\n\xff\n[]\n{"step": "x"}\n{"loss": 1}\n{"step": 2}')
    assert [row["step"] for row in RunLog(path).rows()] == [1, 2]
