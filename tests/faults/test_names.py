"""Names in a file that would lead out of its folder: refused before anything is read or written."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from models.atomic import sha256_of
from models.file_names import is_plain_name
from pipeline.cli import main
from pipeline.engine.manifest import BUNDLE, Engine, load_engine
from pipeline.errors import EngineError

OUTSIDE = ("../evil", "..", ".", ".hidden", "a/b", "a\\b", "a\0b", "a b", "é", "", "x" * 151, "a\n")


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_could_lead_elsewhere_is_none(name: str) -> None:
    assert not is_plain_name(name)


@pytest.mark.parametrize("name", [None, 7, ["a"], b"a"])
def test_what_is_no_text_is_no_name(name: object) -> None:
    assert not is_plain_name(name)


def test_names_of_ours_are_plain(small_engine: Engine) -> None:
    names = [path.name for path in small_engine.folder.iterdir()]
    assert names
    assert all(map(is_plain_name, names))
    assert all(map(is_plain_name, ("x" * 150, "-", "_", "a..b", "segnet-int8-480x360.bundle.zip")))


@pytest.mark.parametrize("name", ["../evil", "{outside}/evil", "a/../../evil", ".evil"])
@pytest.mark.parametrize("unpacked", [False, True], ids=["zip", "folder"])
def test_a_bundle_writes_nothing_outside_of_its_output(
    small_engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str,
    unpacked: bool,
) -> None:  # fmt: skip
    (tmp_path / "evil.xml").write_text("of the user")
    folder = tmp_path / "bundle"
    folder.mkdir()
    onnx = folder / "graph.onnx"
    onnx.write_bytes(b"")
    document = small_engine.manifest.to_json(BUNDLE)
    document["files"] = [{"name": onnx.name, "bytes": 0, "sha256": sha256_of(onnx)}]
    document["name"] = name.format(outside=tmp_path)
    del document["layers"]["counts"]
    (folder / "manifest.json").write_text(json.dumps(document))
    bundle = folder
    if not unpacked:
        bundle = tmp_path / "net.zip"
        with zipfile.ZipFile(bundle, "w") as archive:
            for path in folder.iterdir():
                archive.write(path, path.name)
    before = sorted(tmp_path.rglob("*"))
    assert main(["build", str(bundle), "--output", str(tmp_path / "engines" / "deep")]) == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "names the file" in line
    assert "expected letters, digits" in line
    made = {tmp_path / "engines", tmp_path / "engines" / "deep"}
    assert set(tmp_path.rglob("*")) - made == set(before)
    assert (tmp_path / "evil.xml").read_text() == "of the user"


@pytest.mark.parametrize("named", ["/etc/passwd", "../outside.bin", "{outside}"])
def test_a_manifest_that_names_a_file_elsewhere_is_refused_unread(
    small_engine: Engine, tmp_path: Path, named: str
) -> None:
    folder = tmp_path / "engines"
    shutil.copytree(small_engine.folder, folder)
    outside = tmp_path / "outside.bin"
    shutil.copy(small_engine.path.with_suffix(".bin"), outside)
    manifest = folder / f"{small_engine.manifest.name}.json"
    document = json.loads(manifest.read_text())
    document["files"][1]["name"] = named.format(outside=outside)
    manifest.write_text(json.dumps(document))
    with pytest.raises(EngineError, match=r"names the file .* expected letters, digits"):
        load_engine(manifest)
