"""Compiled engines are kept for the next start, but not forever."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.engine.manifest import Engine, describe_file, load_engine
from pipeline.runtimes.cache import cache_folder, forget_the_oldest
from pipeline.runtimes.openvino.core import executed_convolutions
from pipeline.runtimes.registry import open_session


def test_the_folder_is_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROADSEG_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache" / "roadseg"
    assert (tmp_path / "cache" / "roadseg").is_dir()


def test_a_name_chooses_another_folder_and_an_empty_one_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSEG_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("ROADSEG_CACHE", "")
    assert cache_folder() is None


def test_a_folder_that_cannot_be_made_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ROADSEG_CACHE", str(tmp_path / "file" / "cache"))
    assert cache_folder() is None


def test_the_oldest_are_forgotten(tmp_path: Path) -> None:
    for age, name in enumerate("dcba"):
        path = tmp_path / name / "1.blob"
        path.parent.mkdir()
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    (tmp_path / "other.txt").touch()
    forget_the_oldest(tmp_path, kept=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "d", "other.txt"]


def test_an_engine_from_the_cache_is_the_same_engine(small_engine: Engine, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (1, 90, 120, 3), dtype=np.uint8)
    with open_session(small_engine) as fresh:
        expected = fresh.run(frames)
        precision = fresh.capabilities.precision
    for _ in range(2):  # the first fills the cache, the second reads it
        with open_session(small_engine, cache=tmp_path) as session:
            assert (session.run(frames) == expected).all()
            assert session.capabilities.precision == precision
            convolutions = executed_convolutions(session._model).convolutions
            assert convolutions == small_engine.manifest.layers.convolutions
    assert len(list(tmp_path.glob("*/*.blob"))) == 1


def test_other_weights_under_the_same_name_are_not_taken_from_the_cache(
    small_engine: Engine, tmp_path: Path
) -> None:
    """OpenVINO itself compares only path, date and size of the network's file."""
    folder, cache = tmp_path / "engine", tmp_path / "cache"
    shutil.copytree(small_engine.folder, folder)
    engine = load_engine(folder / small_engine.path.name)
    frames = np.random.default_rng(0).integers(0, 256, (1, 90, 120, 3), dtype=np.uint8)
    with open_session(engine, cache=cache) as session:
        before = session.run(frames)
    xml, weights = engine.path, engine.path.with_suffix(".bin")
    dated = xml.stat()
    constants = re.findall(r'element_type="f32"[^/]*offset="(\d+)" size="(\d+)"', xml.read_text())
    offset, size = max(((int(a), int(b)) for a, b in constants), key=lambda one: one[1])
    content = weights.read_bytes()
    weights.write_bytes(content[:offset] + bytes(size) + content[offset + size :])
    os.utime(xml, ns=(dated.st_atime_ns, dated.st_mtime_ns))
    files = tuple(describe_file(folder / file.name) for file in engine.manifest.files)
    changed = Engine(replace(engine.manifest, files=files), folder)
    with open_session(changed, cache=cache) as session, open_session(changed) as fresh:
        after = session.run(frames)
        assert (after == fresh.run(frames)).all()
    assert (after != before).any()
