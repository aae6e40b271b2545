"""An engine is reused as long as a build would produce the same one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from quiet_progress import quietly

from models.registry import model_spec
from models.spec import LoadedWeights
from models.weights import registered_table
from pipeline.build import current
from pipeline.build.current import engine_of, why_not_current
from pipeline.build.hooks import Hooks
from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import Engine, Manifest, write_manifest
from pipeline.engine.records import FrameRange


@pytest.fixture
def manifest(small_engine: Engine) -> Manifest:
    """The manifest of a current engine: ``small_engine``'s, as if it had the registered size."""
    return replace(small_engine.manifest, input=model_spec("segnet_lite").input)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which ``build`` writes engines; it and the user's cache are empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROADSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "engines"


def put(folder: Path, engine: Engine, manifest: Manifest) -> None:
    folder.mkdir(parents=True)
    for file in manifest.files:
        shutil.copy(engine.folder / file.name, folder / file.name)
    write_manifest(folder, replace(manifest, name="segnet_lite-openvino-fp32"))


def test_an_engine_with_nothing_changed_is_current(manifest: Manifest) -> None:
    assert why_not_current(manifest) is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"weights": LoadedWeights("segnet_lite", "0" * 64)}, "weight file"),
        ({"weights": LoadedWeights("none", None)}, "weight file"),
        ({"variant": {"width": 0.5}}, "network"),
        ({"runtime_version": "2020.1.0-1-release"}, "version of openvino"),
        ({"settings": {"roadseg": "0.0.1"}}, "version of roadseg"),
        ({"settings": {"roadseg": current.__version__, "torch": "1.0"}}, "version of torch"),
        ({"frames": FrameRange(batch_range=(1, 4, 8), smallest=64, largest=64)}, "batch"),
        ({"precision": "int8"}, "calibration"),
    ],
)
def test_an_engine_that_would_be_built_otherwise_is_not_current(
    manifest: Manifest, changed: dict[str, object], reason: str
) -> None:
    assert why_not_current(replace(manifest, **changed)) == f"{reason} is no longer the same"  # type: ignore[arg-type]


def test_another_size_is_not_current(small_engine: Engine) -> None:
    assert why_not_current(small_engine.manifest) == "preprocessing is no longer the same"


def test_int8_of_the_registered_table_is_current(manifest: Manifest) -> None:
    table = current.load_table(registered_table("segnet_lite"))
    recorded = {
        **table.fingerprint,
        "method": table.method,
        "high_precision": table.high_precision,
    }
    manifest = replace(manifest, precision="int8", calibration=recorded)
    assert why_not_current(manifest) is None
    other = {**recorded, "method": "minmax", "frames": "0" * 64}
    assert why_not_current(replace(manifest, calibration=other)) is not None


@pytest.mark.parametrize("place", ["engines", "cache/engines"])
def test_a_current_engine_is_used_again(
    folder: Path, place: str, small_engine: Engine, manifest: Manifest
) -> None:
    put(folder.parent / place, small_engine, manifest)
    said: list[str] = []
    found = engine_of("segnet_lite", "fp32", Hooks(said.append, quietly))
    assert found.folder.resolve() == (folder.parent / place).resolve()
    assert said == []


def test_what_is_not_current_is_built_in_the_cache_and_left_where_it_is(
    folder: Path, small_engine: Engine, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = replace(manifest, weights=LoadedWeights("mine", "0" * 64))
    put(folder, small_engine, mine)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    built: list[BuildOptions] = []
    order: list[str] = []

    def build(options: BuildOptions, hooks: Hooks) -> Engine:
        built.append(options)
        order.append("build")
        return small_engine

    monkeypatch.setattr(current, "build_engine", build)
    said: list[str] = []
    hooks = Hooks(said.append, quietly, before=lambda: order.append("check"))
    assert engine_of("segnet_lite", "fp32", hooks) is small_engine
    assert [options.output for options in built] == [folder.parent / "cache" / "engines"]
    assert built[0].force  # the engine there may be of older weights
    assert order == ["check", "build"]
    assert "weight file is no longer the same" in said[0]
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
