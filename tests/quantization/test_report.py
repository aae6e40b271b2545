"""The report of an INT8 build, read back from its HTML."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from html_page import Page, read
from int8_builds import (
    CLASSES,
    compared,
    disagreement,
    manifest,
    prepared,
    quantised,
    site,
    table,
)

from calibration.quantizer.placement import Convolution
from pipeline.engine.manifest import LayerPrecisions
from pipeline.evaluation.disagreement import Change
from pipeline.quantization.accuracy_gate import Attempt
from pipeline.quantization.options import Budget
from pipeline.quantization.report.page import write_report
from pipeline.quantization.sensitivity import Sensitivity

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


@pytest.fixture
def page(tmp_path: Path) -> Page:
    """The report of a build that met its budget at the second attempt, with labels and speed."""
    attempts = (
        Attempt(table(method="mse"), compared(pixel_agreement=0.9)),
        Attempt(table(), compared()),
    )
    return read(write_report(tmp_path, manifest(), prepared(*attempts), Budget()))


def test_the_summary_is_one_sentence_with_all_that_was_measured(page: Page) -> None:
    head = page.sections["head"]
    assert "Budget held" in head
    assert "1 of 3 convolutions run in INT8, 2 in FP32" in head
    assert "mIoU 60.00 → 59.67 (0.33 points lost) on 12 labelled frames" in head
    assert "98.76 % of pixels keep FP32's class" in head
    assert "2.50 times as fast as FP32" in head
    assert "the budget of 0.50 points of mIoU was held at attempt 2." in head
    assert "few frames" in page.sections["warnings"]


def test_classes_stand_with_the_largest_loss_first(page: Page) -> None:
    names = [row[0] for row in page.tables["accuracy"][1:]]
    assert names == ["Car", "Road", "Sky", "mIoU", "Pixel accuracy"]
    loss, unknown = "\N{MINUS SIGN}1.50", "\N{EN DASH}"
    assert page.row("accuracy", "Car") == ["Car", "40.00", "38.50", loss, "", "", unknown]
    assert page.row("accuracy", "Sky") == ["Sky", "90.00", "91.00", "+1.00", "", "", "99.90"]
    assert page.row("accuracy", "mIoU")[1:4] == ["60.00", "59.67", "\N{MINUS SIGN}0.33"]
    assert "Road to Car 1.230 %" in page.sections["accuracy"]


def test_the_precision_histogram_counts_and_gives_reasons(page: Page) -> None:
    counts = [row[:3] for row in page.tables["precision"][1:]]
    assert counts == [["INT8", "1", "33 %"], ["FP16", "0", "0 %"], ["FP32", "2", "67 %"]]
    said = page.sections["precision"]
    assert "Executed: read back from the finished engine." in said
    assert "first convolution: the picture's full range enters here: stem (FP32)" in said
    assert "asked for with --high-precision: last (FP32)" in said


def test_methods_attempts_and_scales_are_those_of_the_build(page: Page) -> None:
    assert [row[:3] for row in page.tables["methods"][1:]] == [
        ["mse (used)", "99.00 %", "1.00 %"],
        ["minmax", "97.00 %", "3.00 %"],
    ]
    assert page.tables["attempts"][1:] == [
        ["1", "mse", "0", "90.00 %", "0.33", "missed"],
        ["2", "mse", "0", "98.76 %", "0.33", "held"],
    ]
    assert page.tables["scales"][1:] == [
        ["mid", "int8", "0", "100", "12.7", "12.7 %", "0.1", "0.025 %", ""],
    ]
    assert "at most 0.50 points of mIoU lost" in page.sections["attempts"]


def test_provenance_names_frames_preprocessing_hashes_and_versions(page: Page) -> None:
    said = page.sections["provenance"]
    for known in ("128 from drive", "48 x 32, bgr", "f" * 64, "w" * 64, "9" * 64, "e" * 64):
        assert known in said
    assert "openvino 2026.4.0" in said
    assert "torch 2.13.0" in said


def test_frames_are_inside_the_page_with_words_for_those_who_cannot_see_them(page: Page) -> None:
    images = [given for tag, given in page.tags if tag == "img"]
    assert len(images) == 8
    for given in images:
        head, _, data = str(given["src"]).partition("base64,")
        assert head == "data:image/jpeg;"
        shape = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), 1).shape
        assert shape == (int(given["height"] or 0), int(given["width"] or 0), 3)
    assert images[1]["alt"] == "Where FP32 and INT8 differ, frame b.png"
    assert "1. b.png: 10.03 % of pixels differ" in page.sections["frames"]


def test_pictures_lie_beside_the_page_as_png(tmp_path: Path) -> None:
    path = write_report(tmp_path, manifest(), prepared(Attempt(table(), compared())))
    assert path == tmp_path / "segnet-openvino-int8.report.html"
    pictures = sorted((tmp_path / "segnet-openvino-int8.report").iterdir())
    assert [one.name for one in pictures] == ["difference-1.png", "difference-2.png"]
    assert all(cv2.imread(str(one)).shape[1] > 900 for one in pictures)


def test_nothing_is_fetched_and_nothing_can_run(page: Page) -> None:
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for tag, given in page.tags:
        assert not [name for name in given if name.startswith("on") or name == "style"], tag
        for name in ("src", "href", "srcset", "xlink:href"):
            assert re.match(r"data:image/jpeg;|#", given.get(name) or "#"), given[name]
    policy = next(given for tag, given in page.tags if given.get("http-equiv"))
    assert str(policy["content"]).startswith("default-src 'none'; img-src data:")


def test_the_page_names_no_address(tmp_path: Path) -> None:
    text = write_report(tmp_path, manifest(), prepared(Attempt(table(), compared()))).read_text()
    assert not re.search(r"https?://|url\(|@import", re.sub('base64,[^"]*', "", text))


def test_names_of_users_stay_text(tmp_path: Path) -> None:
    chosen = table(
        sites={HOSTILE: site(1.0, 0.5, 0.1)},
        fingerprint={"source": HOSTILE},
        measured={"agreement_by_method": {HOSTILE: 0.5}, "frames": 8},
    )
    names = (HOSTILE, "Road", "Car")
    comparison = compared(
        agreement=dict.fromkeys(names, 0.5),
        changes=(Change(HOSTILE, "Road", 0.5),),
        kept=(replace(disagreement("x", 9), name=HOSTILE),),
    )
    decided = (Convolution(HOSTILE, False, HOSTILE),)
    given = prepared(
        Attempt(chosen, comparison),
        graph=quantised({HOSTILE: 0.1}, decided),
        sensitivity=(Sensitivity(HOSTILE, (HOSTILE,), 0.1),),
    )
    described = manifest(
        model=HOSTILE,
        classes=replace(CLASSES, names=names),
        layers=LayerPrecisions("engine", {HOSTILE: "fp32"}),
        warnings=(HOSTILE,),
        settings={HOSTILE: HOSTILE},
    )
    page = read(write_report(tmp_path, described, given))
    assert not {"script"} & {tag for tag, _ in page.tags}
    assert len([1 for tag, _ in page.tags if tag == "img"]) == 4
    sections = "head warnings accuracy frames precision sensitivity methods scales provenance"
    for section in sections.split():
        assert HOSTILE in page.sections[section], section


def test_without_labels_agreement_stands_alone_and_miou_is_not_claimed(tmp_path: Path) -> None:
    given = prepared(Attempt(table(), compared(scores=False, speed=None)))
    page = read(write_report(tmp_path, manifest(), given, Budget()))
    head = page.sections["head"]
    assert "Agreement held, no labels" in head
    assert "on 12 frames without labels, so mIoU is not known" in head
    assert "speed against FP32 was not measured" in head
    assert "at least 98.00 % agreement was held at the first attempt" in head
    assert page.tables["accuracy"][1:] == [
        ["Road", "98.00", ""],
        ["Sky", "99.90", ""],
        ["Car", "\N{EN DASH}", ""],
        ["All pixels", "98.76", ""],
    ]
    assert page.tables["attempts"][1][4] == "no labels"


def test_what_was_not_measured_is_said_not_left_out(tmp_path: Path) -> None:
    page = read(write_report(tmp_path, manifest(), prepared(table=table(measured={}))))
    assert "Accuracy not measured" in page.sections["head"]
    assert "neither accuracy nor speed" in page.sections["head"]
    assert "Not measured in this build" in page.sections["accuracy"]
    assert "INT8 was not compared with FP32" in page.sections["frames"]
    assert "INT8 was not compared" in page.sections["sensitivity"]
    assert "does not say how its methods compared" in page.sections["methods"]
    assert "no budget was checked" in page.sections["attempts"]
    assert list((tmp_path / "segnet-openvino-int8.report").iterdir()) == []


def test_what_has_nothing_to_show_is_folded_to_its_heading(tmp_path: Path, page: Page) -> None:
    empty = read(write_report(tmp_path / "empty", manifest(), prepared(table=table(measured={}))))
    folded = [one for one in empty.tags if one[0] == "details"]
    assert not any("open" in attributes for _, attributes in folded)
    none = {name for name, text in empty.sections.items() if " none " in f" {text[:60]} "}
    assert none == {"accuracy", "frames", "methods", "attempts", "sensitivity"}
    assert len(folded) == len(none)
    assert len([one for one in page.tags if one[0] == "details"]) == 1  # sensitivity, not needed


def test_a_table_with_a_past_is_quoted_as_such(tmp_path: Path) -> None:
    judged = {"frames": 101, "pixel_agreement": 0.9845, "miou_fp32": 0.56, "miou": 0.5604}
    given = prepared(table=table(measured={"judged": judged}))
    head = read(write_report(tmp_path, manifest(), given)).sections["head"]
    assert "When its table was made, on 101 frames" in head
    assert "98.45 % agreement with FP32, mIoU 56.00 → 56.04" in head


def test_planned_layers_and_an_engine_that_was_not_run_are_called_so(tmp_path: Path) -> None:
    layers = LayerPrecisions("network", {"stem": "fp16", "mid": "int8", "last": "fp16"})
    described = manifest(runtime="tensorrt-rtx", layers=layers, targets=("sm86",))
    page = read(write_report(tmp_path, described, prepared(Attempt(table(), compared(speed=None)))))
    head = page.sections["head"]
    assert "1 of 3 convolutions are planned to run in INT8, 2 in FP16" in head
    assert "tensorrt-rtx engine itself was not run, so its speed is not known" in head
    assert "Budget held on openvino" in head
    assert "speed against FP32 was not measured;" in head
    assert "Planned: counted in the network" in page.sections["precision"]
    assert "sm86" in page.sections["provenance"]


def test_precisions_from_the_builders_list_are_called_executed(tmp_path: Path) -> None:
    layers = LayerPrecisions("builder", {"stem": "fp16", "mid": "int8", "last": "fp16"})
    page = read(write_report(tmp_path, manifest(layers=layers), prepared()))
    assert "Executed: read from the builder" in page.sections["precision"]
    assert "Planned" not in page.sections["precision"]


def test_sensitive_blocks_are_ranked_and_those_kept_are_marked(tmp_path: Path) -> None:
    ranked = (Sensitivity("last", ("last",), 0.012), Sensitivity("mid", ("mid", "m2"), -0.001))
    chosen = table(high_precision=("last",))
    page = read(
        write_report(
            tmp_path, manifest(), prepared(Attempt(chosen, compared()), sensitivity=ranked)
        )
    )
    assert [row[:3] for row in page.tables["sensitivity"][1:]] == [
        ["last (kept)", "1", "+1.20"],
        ["mid", "2", "\N{MINUS SIGN}0.10"],
    ]


def test_a_gate_that_held_at_once_needs_no_sensitivity(page: Page) -> None:
    assert "Not needed" in page.sections["sensitivity"]
    assert "sensitivity" not in page.tables


def test_the_same_build_gives_the_same_bytes(tmp_path: Path) -> None:
    pages = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        path = write_report(
            tmp_path / name, manifest(), prepared(Attempt(table(), compared())), Budget()
        )
        pages.append([path.read_bytes(), (path.with_suffix("") / "difference-1.png").read_bytes()])
    assert pages[0] == pages[1]


def test_an_older_report_is_replaced_with_all_its_pictures(tmp_path: Path) -> None:
    write_report(tmp_path, manifest(), prepared(Attempt(table(), compared())))
    write_report(tmp_path, manifest(), prepared())
    assert list((tmp_path / "segnet-openvino-int8.report").iterdir()) == []
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []
