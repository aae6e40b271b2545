"""Manifests: written last, verified when loaded, each difference reported in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from models.classes import CAMVID
from models.spec import InputSpec, LoadedWeights
from pipeline.engine.manifest import (
    LayerPrecisions,
    Manifest,
    describe_file,
    load_engine,
    read_manifest,
    write_manifest,
)
from pipeline.engine.records import FrameRange
from pipeline.engine.replace import Origin, check_replaceable
from pipeline.errors import EngineError, OutputError


def write_engine(folder: Path) -> Path:
    for suffix, content in ((".xml", b"<net/>"), (".bin", b"\x00" * 64)):
        (folder / f"net{suffix}").write_bytes(content)
    manifest = Manifest(
        name="net",
        model="segnet_lite",
        variant={"width": 0.25},
        weights=LoadedWeights("none", None),
        classes=CAMVID,
        input=InputSpec(),
        frames=FrameRange(smallest=64, largest=3840),
        precision="fp32",
        layers=LayerPrecisions("engine", {"a": "fp32", "b": "int8", "c": "bf16"}),
        runtime="openvino",
        runtime_version="1",
        targets=(),
        files=(describe_file(folder / "net.xml"), describe_file(folder / "net.bin")),
        latency_ms={"p50": 1.5},
        warnings=("careful",),
    )
    return write_manifest(folder, manifest)


def test_a_manifest_reads_back_as_it_was_written(tmp_path: Path) -> None:
    path = write_engine(tmp_path)
    engine = load_engine(path)
    assert write_manifest(tmp_path, engine.manifest).read_text() == path.read_text()
    assert engine.path == tmp_path / "net.xml"
    assert engine.manifest.classes == CAMVID
    assert engine.manifest.input == InputSpec()


def test_any_file_of_the_engine_names_it(tmp_path: Path) -> None:
    write_engine(tmp_path)
    for name in ("net.xml", "net.bin", "net.json"):
        assert load_engine(tmp_path / name).manifest.name == "net"


def test_precisions_are_counted_from_the_layers(tmp_path: Path) -> None:
    document = json.loads(write_engine(tmp_path).read_text())
    assert document["layers"]["counts"] == {"int8": 1, "fp16": 0, "fp32": 1, "bf16": 1}


@pytest.mark.parametrize("name", ["net.xml", "net.bin"])
def test_a_changed_byte_in_any_file_is_found(tmp_path: Path, name: str) -> None:
    path = write_engine(tmp_path)
    data = bytearray((tmp_path / name).read_bytes())
    data[3] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(EngineError, match=f"{name} has SHA-256 .* damaged or was replaced"):
        load_engine(path)


def test_a_cut_file_is_told_with_both_sizes(tmp_path: Path) -> None:
    path = write_engine(tmp_path)
    (tmp_path / "net.bin").write_bytes(b"\x00" * 10)
    with pytest.raises(EngineError, match="has 10 bytes, the manifest says 64"):
        load_engine(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = write_engine(tmp_path)
    (tmp_path / "net.bin").unlink()
    with pytest.raises(EngineError, match=r"net\.bin is missing"):
        load_engine(path)


def test_an_engine_without_manifest_was_not_finished(tmp_path: Path) -> None:
    write_engine(tmp_path).unlink()
    with pytest.raises(EngineError, match="no manifest"):
        load_engine(tmp_path / "net.xml")


def test_a_path_to_nothing_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"not found.*roadseg build"):
        load_engine(tmp_path / "net.xml")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"kind": "roadseg-engine"}'])
def test_a_damaged_manifest_is_refused(tmp_path: Path, content: str) -> None:
    path = write_engine(tmp_path)
    path.write_text(content)
    with pytest.raises(EngineError, match="build the engine again"):
        load_engine(path)


def test_a_manifest_of_another_format_is_refused_with_both_numbers(tmp_path: Path) -> None:
    path = write_engine(tmp_path)
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"format_version": 99}))
    with pytest.raises(EngineError, match="format 99, expected 'roadseg-engine' format 1"):
        load_engine(path)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    path = write_engine(tmp_path)
    document = json.loads(path.read_text())
    del document["classes"]
    path.write_text(json.dumps(document))
    with pytest.raises(EngineError, match="classes"):
        load_engine(path)


@pytest.mark.parametrize(
    ("section", "value", "said"),
    [
        ("frames", {"batch": 1, "smallest": 64}, "required field `largest`"),
        ("frames", {"smallest": 0, "largest": 64}, r"frames from 0 to 64 pixels - at `\$.frames`"),
        ("frames", {"smallest": 1, "largest": 2, "batch_range": [4, 2, 1]}, "batch_range is "),
        ("weights", {"name": "mine"}, "required field `sha256`"),
        ("accuracy", {"miou": "good"}, r"Expected `float`, got `str` - at `\$.accuracy.miou`"),
        ("accuracy", {"parity": {"pixel_agreement": []}}, r"\$.accuracy.parity.pixel_agreement"),
        ("calibration", {"kept": {"a": 1}}, r"Expected `str`, got `int` - at `\$.calibration.kept"),
        ("files", [], "files is empty"),
        (
            "files",
            [{"name": "net.xml", "bytes": -1, "sha256": "f" * 64}],
            "no valid size or SHA-256",
        ),
        ("extra", 1, "no field is called 'extra'"),
    ],
)
def test_a_section_that_is_none_is_named(
    section: str, value: object, said: str, tmp_path: Path
) -> None:
    path = write_engine(tmp_path)
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {section: value}))
    with pytest.raises(EngineError, match=said) as caught:
        load_engine(path)
    assert "\n" not in str(caught.value)


def test_our_own_engine_may_be_replaced(tmp_path: Path) -> None:
    origin = Origin.of(read_manifest(write_engine(tmp_path)))
    check_replaceable(tmp_path, "net", (".xml", ".bin"), force=False, origin=origin)


@pytest.mark.parametrize("different", ["weights", "classes"])
def test_an_engine_of_other_weights_or_classes_needs_force(tmp_path: Path, different: str) -> None:
    same = Origin.of(read_manifest(write_engine(tmp_path)))
    check_replaceable(tmp_path, "net", (".xml", ".bin"), force=False, origin=same)
    renamed = replace(same, weights=replace(same.weights, name="another of the same file"))
    check_replaceable(tmp_path, "net", (".xml", ".bin"), force=False, origin=renamed)
    weights = LoadedWeights("none", "f" * 64)
    other = Origin(weights, same.classes)
    if different == "classes":
        other = Origin(same.weights, ("a", "b"))
    with pytest.raises(OutputError, match=r"--name.*--force") as caught:
        check_replaceable(tmp_path, "net", (".xml", ".bin"), force=False, origin=other)
    assert "\n" not in str(caught.value)
    check_replaceable(tmp_path, "net", (".xml", ".bin"), force=True, origin=other)


def test_files_of_somebody_else_need_force(tmp_path: Path) -> None:
    new = Origin(LoadedWeights("new", "f" * 64), ("a", "b"))
    (tmp_path / "net.xml").write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        check_replaceable(tmp_path, "net", (".xml", ".bin"), force=False, origin=new)
    (tmp_path / "net.json").write_text('{"kind": "something else"}')
    with pytest.raises(OutputError, match="--force"):
        check_replaceable(tmp_path, "net", (".xml", ".bin"), force=False, origin=new)
    check_replaceable(tmp_path, "net", (".xml", ".bin"), force=True, origin=new)
