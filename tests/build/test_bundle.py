"""A bundle: made without the runtime, verified, and built without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from quiet_progress import quiet

from pipeline.build import from_bundle
from pipeline.build.build import build, build_bundle
from pipeline.build.bundle import bundle_of, open_bundle
from pipeline.build.from_bundle import RebuildOptions, rebuild, rebuild_engine
from pipeline.build.options import BuildOptions
from pipeline.cli import main
from pipeline.engine.manifest import load_engine
from pipeline.errors import BuildError, EngineError
from pipeline.runtimes.compiler import BuilderSettings
from pipeline.runtimes.registry import can_build

SMALL = BuildOptions("segnet_lite", runtime="tensorrt", precision="fp16", size=(96, 64))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bundle(replace(SMALL, output=tmp_path_factory.mktemp("bundle")), quiet)


@pytest.fixture
def copied(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(bundle, tmp_path / bundle.name))


def for_rtx(folder: Path) -> RebuildOptions:
    return RebuildOptions("tensorrt-rtx", ("sm89",), output=folder)


@pytest.mark.slow
def test_it_is_made_where_its_runtime_is_not_installed(bundle: Path) -> None:
    assert not can_build("tensorrt")
    assert bundle.name == "segnet_lite-tensorrt-fp16-96x64.bundle.zip"
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]
    with open_bundle(bundle) as (manifest, onnx, table):
        assert manifest.runtime == "tensorrt"
        assert manifest.layers.source == "onnx"
        assert set(manifest.layers.convolutions.values()) == {"fp16"}
        assert manifest.accuracy is not None
        assert manifest.accuracy["fp16_graph"]["pixel_agreement"] > 0.98
        assert onnx.stat().st_size == manifest.files[0].bytes
        assert table is None


def test_its_engine_is_built_without_torch(copied: Path, tmp_path: Path) -> None:
    """In a process that cannot import torch, torchao and onnx, as on a Jetson."""
    code = (
        "import sys\n"
        "for name in ('torch', 'torchao', 'onnx', 'onnxscript'): sys.modules[name] = None\n"
        "from pipeline.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["build", str(copied), "--runtime", "tensorrt-rtx", "--target", "sm89"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--output", str(tmp_path / "out"), "--json"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    engine = load_engine(Path(told["engine"]))
    assert engine.manifest.runtime == "tensorrt-rtx"
    assert engine.manifest.targets == ("sm89",)
    assert engine.manifest.layers.counts()["fp16"] == 26
    assert "built without running it" in engine.manifest.warnings[0]
    assert bundle_of(engine).exists()


def test_an_unpacked_bundle_is_as_good(copied: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(copied) as archive:
        archive.extractall(tmp_path / "folder")
    engine = rebuild(tmp_path / "folder", for_rtx(tmp_path / "out"), quiet)
    assert load_engine(engine.path).manifest == engine.manifest


@pytest.mark.slow
def test_a_bundle_stands_beside_the_engine_that_was_built_with_it(tmp_path: Path) -> None:
    options = replace(SMALL, runtime="tensorrt-rtx", targets=("sm86",), bundle=True)
    engine = build(replace(options, output=tmp_path), quiet)
    again = rebuild(bundle_of(engine), RebuildOptions(output=tmp_path / "again"), quiet)
    first, second = engine.manifest, again.manifest
    assert second.layers == first.layers
    assert second.weights == first.weights
    assert second.targets != first.targets  # all of them, since none was named


@pytest.mark.slow
def test_int8_travels_with_its_table_and_never_falls_back(tmp_path: Path) -> None:
    """With the registered table, and therefore at full size."""
    options = replace(SMALL, precision="int8", size=None, output=tmp_path)
    bundle = build_bundle(options, quiet)
    engine = rebuild(bundle, for_rtx(tmp_path / "out"), quiet)
    assert engine.manifest.layers.counts()["int8"] > 15
    table = engine.folder / f"{engine.manifest.name}.calibration.json"
    assert json.loads(table.read_text())["model"] == "segnet_lite"
    contents = members(bundle)
    manifest = json.loads(contents["manifest.json"])
    manifest["layers"]["convolutions"]["decoder.9"] = "int8"  # names one more than exists
    write(bundle, {**contents, "manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(BuildError, match=r"decoder\.9 \(not found\)"):
        rebuild(bundle, for_rtx(tmp_path / "other"), quiet)


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)


def test_a_changed_network_is_noticed(copied: Path) -> None:
    contents = members(copied)
    changed = bytearray(contents["graph.onnx"])
    changed[len(changed) // 2] ^= 1
    write(copied, {**contents, "graph.onnx": bytes(changed)})
    with pytest.raises(EngineError, match=r"graph\.onnx has SHA-256"), open_bundle(copied):
        pass


def test_a_cut_bundle_is_one_line(copied: Path) -> None:
    copied.write_bytes(copied.read_bytes()[:-500])
    with pytest.raises(EngineError, match="copy it again"), open_bundle(copied):
        pass


@pytest.mark.parametrize("member", ["graph.onnx", "manifest.json"])
def test_a_bundle_unpacks_to_no_more_than_it_may(
    member: str, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zeros, a thousand of which compress to one byte, with a different size in the manifest."""
    contents = members(copied)
    with zipfile.ZipFile(copied, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, bytes(200 << 20) if name == member else data)
    assert copied.stat().st_size < 10 << 20
    written = []
    take = Path.open

    def open_(path: Path, *given: str) -> object:
        written.append(path)
        return take(path, *given)

    monkeypatch.setattr(Path, "open", open_)
    with (
        pytest.raises(EngineError, match=f"{member} unpacks to more than the"),
        open_bundle(copied),
    ):
        pass
    assert {path.name for path in written} <= {"graph.onnx", "manifest.json"}
    assert not any(path.exists() for path in written)


def test_another_zip_file_is_refused(copied: Path) -> None:
    write(copied, {"../evil": b"", "readme": b""})
    with pytest.raises(EngineError, match=r"without graph\.onnx"), open_bundle(copied):
        pass
    assert not (copied.parent.parent / "evil").exists()


def test_an_engine_is_no_bundle_and_a_missing_one_is_told(copied: Path, tmp_path: Path) -> None:
    contents = members(copied)
    manifest = json.loads(contents["manifest.json"])
    manifest["kind"] = "roadseg-engine"
    write(copied, {**contents, "manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(EngineError, match="expected 'roadseg-bundle'"), open_bundle(copied):
        pass
    with pytest.raises(EngineError, match="not found"), open_bundle(tmp_path / "no.zip"):
        pass


@pytest.mark.slow
def test_an_engine_that_cannot_be_loaded_is_built_again_from_its_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = BuildOptions("segnet_lite", size=(96, 64), bundle=True, output=tmp_path)
    engine = build(options, quiet)
    weights = engine.path.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:-4])
    arguments = ["run", str(engine.path), "--source", "synthetic", "--frames", "2", "--json"]
    assert main(arguments) == 1
    assert "it is cut" in capsys.readouterr().err
    assert main([*arguments, "--rebuild"]) == 0
    told = capsys.readouterr()
    assert "building the engine again" in told.err
    assert json.loads(told.out.splitlines()[-1])["frames"] == 2
    again = load_engine(engine.path).manifest
    assert again.files[1] == engine.manifest.files[1]  # OpenVINO numbers constants in files[0]
    assert again.layers == engine.manifest.layers


def test_building_again_keeps_what_was_asked_for(copied: Path, tmp_path: Path) -> None:
    """Otherwise a small Jetson would run out of memory when the service rebuilds."""
    sizes = ((64, 64), (320, 240), (640, 480))
    builder = BuilderSettings(workspace=64_000_000)
    asked = RebuildOptions("tensorrt-rtx", ("sm86", "sm89"), sizes, tmp_path / "out", True, builder)
    first = rebuild(copied, asked, quiet)
    assert first.manifest.frames.sizes == sizes
    assert (first.manifest.frames.smallest, first.manifest.frames.largest) == (64, 640)
    first.path.write_bytes(b"cut")
    again = rebuild_engine(first.path, quiet).manifest
    assert again == replace(first.manifest, files=again.files)
    assert again.settings["workspace"] == 64_000_000
    assert again.targets == ("sm86", "sm89")


@pytest.mark.parametrize(
    ("here", "expected"),
    [(None, ("sm86",)), ("sm86", ("sm86",)), ("sm120", ()), ("sm75", ("sm75",))],
)
def test_on_another_gpu_it_is_built_for_that_one(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, here: str | None, expected: tuple[str, ...]
) -> None:
    with open_bundle(bundle) as (manifest, _, _):
        old = replace(manifest, runtime="tensorrt-rtx", targets=("sm86",))
    monkeypatch.setattr(from_bundle, "_architecture", lambda: here)
    assert from_bundle._as_asked(RebuildOptions(), old).targets == expected


def test_without_a_bundle_rebuilding_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "segnet_lite-openvino-fp32.xml"
    path.write_text("")
    assert main(["run", str(path), "--source", "synthetic", "--rebuild"]) == 1
    assert "segnet_lite-openvino-fp32.bundle.zip is not there" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--precision", "int8"], ["--batch", "4"], ["--bundle"]])
def test_what_a_bundle_has_decided_is_not_asked_again(option: list[str], copied: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["build", str(copied), *option])
    assert stopped.value.code == 2
