"""Engines overwritten, cut or corrupted while and before they run: no crash, no mixed files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.engine.manifest import Engine, Manifest, describe_file, load_engine, write_manifest
from pipeline.engine.publish import publish, restore
from pipeline.errors import EngineError
from pipeline.runtimes.null import NullSession
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.reload import WatchedSession
from pipeline.runtimes.session import Session

ROOT = Path(__file__).parents[2]

#: Runs an engine before and after a command changes its files, and compares the class maps.
RUN_WHILE_REPLACED = """
import subprocess, sys
from pathlib import Path
import numpy as np
from pipeline.runtimes.registry import open_engine

engine, command, cache = sys.argv[1:]
_, session = open_engine(Path(engine), cache=Path(cache) if cache else None)
frames = np.random.default_rng(0).integers(0, 256, (1, 90, 120, 3), dtype=np.uint8)
before = session.run(frames)
subprocess.run(["sh", "-c", command], check=True)
assert (session.run(frames) == before).all()
session.run(np.zeros((1, 48, 64, 3), np.uint8))  # another size is compiled for anew
"""

SLOWLY = "for part in 1 2 3; do head -c 200000 /dev/zero; sleep 0.02; done"


@pytest.fixture
def engine(small_engine: Engine, tmp_path: Path) -> Engine:
    """A copy that a test may replace."""
    folder = tmp_path / "engines"
    shutil.copytree(small_engine.folder, folder)
    return Engine(small_engine.manifest, folder)


@pytest.fixture
def other(engine: Engine, tmp_path: Path) -> Engine:
    """Another engine of the same name: other weights, so other class maps."""
    folder = tmp_path / "other"
    shutil.copytree(engine.folder, folder)
    weights = engine.path.with_suffix(".bin").name
    content = np.frombuffer((folder / weights).read_bytes(), np.float32).copy()
    content[-20_000:] *= -1
    (folder / weights).write_bytes(content.tobytes())
    files = tuple(describe_file(folder / file.name) for file in engine.manifest.files)
    manifest = replace(engine.manifest, files=files)
    write_manifest(folder, manifest)
    return Engine(manifest, folder)


@pytest.mark.parametrize(
    "command",
    ["cp {other}/* {engines}", f"({SLOWLY}) > {{weights}}", "truncate -s 4096 {engines}/*"],
    ids=["cp", "written slowly", "cut"],
)
@pytest.mark.parametrize("cached", [False, True], ids=["no cache", "from the cache"])
def test_a_running_engine_survives_whatever_is_copied_over_its_files(
    engine: Engine, other: Engine, tmp_path: Path, command: str, cached: bool
) -> None:
    """In a separate process: a mapped file that is cut ends the process by SIGBUS."""
    cache = tmp_path / "cache"
    if cached:
        cache.mkdir()
        open_session(engine, cache=cache).close()
        command += f"; truncate -s 4096 {cache}/*/*.blob"
    weights = engine.path.with_suffix(".bin")
    written = command.format(other=other.folder, engines=engine.folder, weights=weights)
    arguments = [str(engine.path), written, str(cache) if cached else ""]
    done = subprocess.run(
        [sys.executable, "-c", RUN_WHILE_REPLACED, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_is_replaced_after_it_was_verified_is_not_loaded(
    engine: Engine, other: Engine
) -> None:
    verified = load_engine(engine.path)
    shutil.copy(other.folder / engine.path.with_suffix(".bin").name, engine.folder)
    with pytest.raises(EngineError, match="damaged or was replaced"):
        open_session(verified)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_an_engine_that_cp_replaces_file_by_file_takes_over_when_it_is_whole(
    engine: Engine, other: Engine
) -> None:
    """With the manifest in the middle, in the order of ``cp *``: ``.bin``, ``.json``, ``.xml``."""

    def opened(path: Path) -> tuple[Engine, Session]:
        return load_engine(path), NullSession(64, 48)

    frame = np.zeros((1, 48, 64, 3), np.uint8)
    (engine.path).write_text(engine.path.read_text() + "\n")
    files = tuple(describe_file(engine.folder / file.name) for file in engine.manifest.files)
    write_manifest(engine.folder, replace(engine.manifest, files=files))
    with WatchedSession(engine.path, interval=0.01, open_=opened) as watched:
        names = sorted(path.name for path in other.folder.iterdir())
        assert [name[-4:] for name in names] == [".bin", "json", ".xml"]
        for name in names[:2]:
            shutil.copy(other.folder / name, engine.folder)
        wait_until(lambda: watched.refusals >= 1)
        shutil.copy(other.folder / names[2], engine.folder)
        wait_until(lambda: watched.run(frame) is not None and watched.swaps == 1)
        assert watched.engine.manifest == other.manifest


def test_a_pipe_in_place_of_the_watched_manifest_hangs_nobody(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def opened(path: Path) -> tuple[Engine, Session]:
        return load_engine(path), NullSession(64, 48)

    manifest = engine.path.with_suffix(".json")
    with WatchedSession(engine.path, interval=0.01, open_=opened) as watched:
        manifest.unlink()
        os.mkfifo(manifest)
        wait_until(lambda: watched.refusals == 1)
    assert "is no regular file" in caplog.text


class StopError(Exception):
    """Ends a step of publishing, as a signal or a full disk would."""


def drafted(other: Engine, scratch: Path) -> Engine:
    """An engine as it is during a build, before it is published: no manifest on disk."""
    shutil.copytree(other.folder, scratch)
    (scratch / f"{other.manifest.name}.json").unlink()
    return Engine(other.manifest, scratch)


def found(path: Path) -> Manifest | None:
    """Return what a program that starts now would load; None if it finds no engine."""
    return load_engine(path).manifest if path.with_suffix(".json").exists() else None


def test_no_moment_of_publishing_shows_a_mixture(
    engine: Engine, other: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Manifest | None] = []
    move = os.replace

    def watched_move(*names: Path) -> None:
        move(*names)
        seen.append(found(engine.path))

    monkeypatch.setattr(os, "replace", watched_move)
    publish(drafted(other, engine.folder / ".build-1"), engine.folder)
    old, new = engine.manifest, other.manifest
    assert seen == [None] * (len(seen) - 1) + [new]
    assert old not in seen
    assert found(engine.path) == new


@pytest.mark.parametrize("step", range(6))
@pytest.mark.parametrize("killed", [False, True], ids=["failed", "killed"])
def test_publishing_that_ends_in_the_middle_leaves_the_old_engine_whole(
    engine: Engine, other: Engine, monkeypatch: pytest.MonkeyPatch, step: int, killed: bool
) -> None:
    steps = iter(range(100))
    move = os.replace

    def stops(*names: Path) -> None:
        now = next(steps)
        if now == step or (killed and now > step):
            raise StopError
        move(*names)

    scratch = engine.folder / ".build-1"
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", stops)
        with pytest.raises(StopError):
            publish(drafted(other, scratch), engine.folder)
    if killed:  # the next build does this
        restore(scratch, engine.folder)
    assert load_engine(engine.path).manifest == engine.manifest


def test_a_bit_that_flips_in_the_cache_changes_nothing(
    small_engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (1, 90, 120, 3), dtype=np.uint8)
    with open_session(small_engine, cache=tmp_path) as session:
        expected = session.run(frames)
    [blob] = tmp_path.glob("*/*.blob")
    whole = blob.read_bytes()
    places = np.random.default_rng(1).integers(0, len(whole), 4)
    for place in [0, len(whole) - 1, *places]:
        flipped = bytearray(whole)
        flipped[place] ^= 64
        blob.write_bytes(flipped)
        caplog.clear()
        with open_session(small_engine, cache=tmp_path) as session:
            assert (session.run(frames) == expected).all()
        assert "is damaged; the engine is compiled again" in caplog.text
        assert blob.read_bytes() != bytes(flipped)
    caplog.clear()
    with open_session(small_engine, cache=tmp_path) as session:
        assert (session.run(frames) == expected).all()
    assert caplog.text == ""


def test_a_cut_cache_and_one_that_cannot_be_written_cost_time_alone(
    small_engine: Engine, tmp_path: Path
) -> None:
    open_session(small_engine, cache=tmp_path).close()
    [blob] = tmp_path.glob("*/*.blob")
    size = blob.stat().st_size
    for left in (0, 20, size // 2):
        os.truncate(blob, left)
        open_session(small_engine, cache=tmp_path).close()
        assert blob.stat().st_size > size // 2
    blob.unlink()
    blob.mkdir()
    open_session(small_engine, cache=tmp_path).close()
