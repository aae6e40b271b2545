"""Calibration tables survive their file unchanged, and refuse everything they do not fit."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.errors import CalibrationError
from calibration.table import CalibrationTable, Site, load_table
from models.spec import InputSpec

ROOT = Path(__file__).resolve().parents[2]

POSITIVE = st.floats(1e-4, 1e4)
NUMBERS = st.floats(-1e6, 1e6)


def site(minimum: float = 0.0, reach: float = 4.0) -> Site:
    return Site(
        minimum=minimum,
        maximum=8.0,
        thresholds={
            "minmax": {"int8": 8.0, "uint8": 8.0},
            "mse": {"int8": reach, "uint8": reach + 1},
        },
        clipped={
            "minmax": {"int8": 0.0, "uint8": 0.0},
            "mse": {"int8": 0.001, "uint8": 0.0001},
        },
    )


def table() -> CalibrationTable:
    return CalibrationTable(
        model="segnet_lite",
        fingerprint={
            "frames": "f" * 64,
            "frame_count": 128,
            "source": "train",
            "preprocessing": asdict(InputSpec()),
            "weights": "a" * 64,
            "graph": "b" * 64,
        },
        sites={"encoder.1": site(minimum=-3.0), "encoder.0": site()},
        method="minmax",
        high_precision=("classifier",),
        measured={"agreement_by_method": {"minmax": 0.97, "mse": 0.991}},
    )


def expected(model: str = "segnet_lite", **changes: Any) -> dict[str, Any]:
    fields = {
        "preprocessing": asdict(InputSpec()),
        "weights": "a" * 64,
        "graph": "b" * 64,
    }
    return {"model": model, "expected": {**fields, **changes}}


def one_line(error: pytest.ExceptionInfo[CalibrationError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_table_is_the_same_after_its_file(tmp_path: Path) -> None:
    path = tmp_path / "segnet_lite.json"
    table().save(path)
    assert load_table(path) == table()
    assert [file.name for file in tmp_path.iterdir()] == ["segnet_lite.json"]


@given(reach=POSITIVE, minimum=NUMBERS, agreement=NUMBERS)
def test_a_table_that_was_just_made_has_the_numbers_of_its_file(
    tmp_path_factory: pytest.TempPathFactory, reach: float, minimum: float, agreement: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "rounded.json"
    one = replace(site(min(minimum, 8.0), reach), maximum=8.0 + reach)
    made = replace(table(), sites={"s": one}, measured={"agreement_by_method": {"mse": agreement}})
    made.save(path)
    assert load_table(path) == made
    assert made.sites["s"].thresholds["mse"]["int8"] == pytest.approx(reach, rel=1e-5)


def test_the_file_depends_on_the_content_only(tmp_path: Path) -> None:
    other = table()
    other = replace(other, sites=dict(sorted(other.sites.items())))
    assert list(other.sites) != list(table().sites)
    table().save(tmp_path / "a.json")
    other.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_changed_site_changes_one_line_of_the_file(tmp_path: Path) -> None:
    table().save(tmp_path / "a.json")
    replace(table(), sites={**table().sites, "encoder.0": site(reach=5)}).save(tmp_path / "b.json")
    old, new = ((tmp_path / name).read_text().splitlines() for name in ("a.json", "b.json"))
    assert len([1 for one, other in zip(old, new, strict=True) if one != other]) == 1


def test_numbers_of_numpy_are_written_with_six_digits(tmp_path: Path) -> None:
    measured = {"frames": np.int64(8), "judged": {"miou": np.float32(1 / 3), "speedup": math.pi}}
    replace(table(), measured=measured).save(tmp_path / "t.json")
    document = json.loads((tmp_path / "t.json").read_text())
    assert document["measured"] == {"frames": 8, "judged": {"miou": 0.333333, "speedup": 3.14159}}


def test_a_threshold_is_that_of_the_chosen_method() -> None:
    assert table().threshold_of("encoder.0", "int8") == 8.0
    chosen = replace(table(), method="mse")
    assert chosen.threshold_of("encoder.0", "int8") == 4.0
    assert chosen.threshold_of("encoder.0", "uint8") == 5.0


def test_uint8_is_refused_where_it_would_cut_negative_values_off() -> None:
    with pytest.raises(CalibrationError) as error:
        table().threshold_of("encoder.1", "uint8")
    assert "encoder.1 of segnet_lite has values down to -3" in one_line(error)


def test_a_site_that_was_not_calibrated_is_named() -> None:
    with pytest.raises(CalibrationError) as error:
        table().threshold_of("decoder.7", "int8")
    assert "no site 'decoder.7' among its 2" in one_line(error)


def test_a_table_without_a_choice_is_not_used() -> None:
    with pytest.raises(CalibrationError) as error:
        replace(table(), method=None).threshold_of("encoder.0", "int8")
    assert "names no method for site encoder.0, expected one of minmax, mse" in one_line(error)


def test_a_table_fits_what_it_was_made_for(tmp_path: Path) -> None:
    table().save(tmp_path / "t.json")
    load_table(tmp_path / "t.json").check(**expected())
    table().check("segnet_lite", {"weights": "a" * 64})


def test_other_frames_are_no_reason_to_refuse() -> None:
    table().check(**expected(frames="0" * 64, frame_count=16, source="elsewhere"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "fcn8s"}, "model is segnet_lite, this build has fcn8s"),
        (
            {"preprocessing": asdict(InputSpec(width=640)), "graph": "c" * 64},
            "preprocessing.width is 480, this build has 640; build with --size 480x360 or calib",
        ),
        (
            {"preprocessing": asdict(InputSpec(mean=(0.5, 0.456, 0.406)))},
            "preprocessing.mean is [0.485, 0.456, 0.406], this build has [0.5, 0.456, 0.406]",
        ),
        (
            {"preprocessing": asdict(InputSpec(order="bgr"))},
            "preprocessing.order is rgb, this build has bgr",
        ),
        (
            {"weights": "c" * 64, "graph": "d" * 64},
            "weights is aaaaaaaaaaaa..., this build has cccccccccccc...; use the table of these",
        ),
        ({"graph": "d" * 64}, "graph is bbbbbbbbbbbb..., this build has dddddddddddd..."),
        ({"weights": "random"}, "weights is aaaaaaaaaaaa..., this build has random"),
    ],
)
def test_the_first_field_that_differs_is_named_with_both_values(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(CalibrationError) as error:
        table().check(**expected(**changes))
    text = one_line(error)
    assert text.startswith(f"calibration table of segnet_lite: {said}")
    assert text.endswith("calibrate again with --calibration DIR|VIDEO")


def test_a_field_that_the_table_lacks_differs() -> None:
    without = {key: what for key, what in table().fingerprint.items() if key != "preprocessing"}
    for fingerprint in (without, {**without, "preprocessing": {}}):
        with pytest.raises(CalibrationError, match=r"preprocessing.* is .*, this build has "):
            replace(table(), fingerprint=fingerprint).check(**expected())


Change = Callable[[dict[str, Any]], object]

DAMAGES: dict[str, tuple[Change, str]] = {
    "an engine's manifest": (lambda d: d.update(kind="roadseg-engine"), "no calibration table"),
    "without a kind": (lambda d: d.pop("kind"), "no calibration table"),
    "of the future": (lambda d: d.update(format_version=2), "has format 2, expected 1"),
    "without sites": (lambda d: d.pop("sites"), "required field `sites`"),
    "with a list of sites": (lambda d: d.update(sites=[1]), "misstates a field"),
    "with an unknown field": (lambda d: d.update(extra=1), "extra"),
    "with a list as fingerprint": (lambda d: d.update(fingerprint=[]), "$.fingerprint"),
    "without a threshold": (
        lambda d: d["sites"]["encoder.0"]["thresholds"]["mse"].pop("uint8"),
        "required field `uint8`",
    ),
    "with a threshold of zero": (
        lambda d: d["sites"]["encoder.0"]["thresholds"]["mse"].update(int8=0),
        "site encoder.0, mse, int8: threshold 0",
    ),
    "with NaN": (
        lambda d: d["sites"]["encoder.0"]["thresholds"]["mse"].update(int8=math.nan),
        "threshold nan",
    ),
    "with text for a number": (
        lambda d: d["sites"]["encoder.0"].update(minimum="low"),
        "Expected `float`, got `str`",
    ),
    "with a share above one": (
        lambda d: d["sites"]["encoder.0"]["clipped"]["mse"].update(int8=1.5),
        "clips 1.5",
    ),
    "with extremes the wrong way round": (
        lambda d: d["sites"]["encoder.0"].update(minimum=9),
        "reaches from 9 to 8",
    ),
    "with an unknown method": (lambda d: d.update(method="guess"), "no threshold of method guess"),
    "with a method of its own": (lambda d: d.update(methods={"x": "mse"}), "a method of its own"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_or_foreign_file_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    change, said = DAMAGES[name]
    document = json.loads(json.dumps(table().to_json()))
    change(document)
    path = tmp_path / "t.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(CalibrationError) as error:
        load_table(path)
    text = one_line(error)
    assert said in text
    assert str(path) in text


@pytest.mark.parametrize("content", [b"", b"{", b'{"kind": "roadseg-c', b"\xff\xfe", b"[1]", b"3"])
def test_a_file_that_is_no_table_at_all_is_refused_in_one_line(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    with pytest.raises(CalibrationError) as error:
        load_table(path)
    assert str(path) in one_line(error)


def test_a_missing_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="No such file") as error:
        load_table(tmp_path / "none.json")
    assert "calibrate again" in one_line(error)


def test_a_table_with_a_hundred_sites_stays_below_a_hundred_kilobytes(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    methods = ("minmax", "percentile_99.99", "percentile_99.9", "entropy", "mse")

    def numbers() -> dict[str, dict[str, float]]:
        return {m: {"int8": random.random() * 9, "uint8": random.random() * 9} for m in methods}

    sites = {
        f"encoder.block{i}.conv": Site(-1.23456789, 9, numbers(), numbers()) for i in range(100)
    }
    replace(table(), sites=sites).save(tmp_path / "t.json")
    assert (tmp_path / "t.json").stat().st_size < 100_000


@pytest.mark.parametrize("module", ["calibration.table", "calibration.frames"])
def test_frames_and_tables_are_read_without_torch(module: str) -> None:
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
