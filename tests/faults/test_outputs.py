"""Outputs in conflict with a second process, a user's own files or a full disk."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sink_results import fill, result
from small_disk import disk_full_after
from videos import read_video

from models.lock import WriteLock
from pipeline.errors import OutputError, SinkError
from pipeline.stream.sinks import Sink, SinkOptions, open_sink

ROOT = Path(__file__).parents[2]
OUTPUTS = ("drive.mp4", "drive.mkv", "drive.jsonl", "drive.json", "masks")

#: Opens a sink, prints a line, and keeps it open until it is killed or its input ends.
HOLD = """
import sys
from pipeline.stream.sinks import SinkOptions, open_sink
sink = open_sink(sys.argv[1], SinkOptions(segment=float(sys.argv[2]) or None))
print("held", flush=True)
sys.stdin.read()
sink.close()
"""


@contextmanager
def another_process(output: Path, segment: float = 0) -> Iterator[subprocess.Popen[str]]:
    """A process that writes ``output``."""
    arguments = [sys.executable, "-c", HOLD, str(output), str(segment)]
    with subprocess.Popen(
        arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("name", "segment"), [*((name, 0) for name in OUTPUTS), ("drive.mp4", 2)])
def test_a_second_process_on_an_output_is_refused_and_names_the_first(
    tmp_path: Path, name: str, segment: float
) -> None:
    output, options = tmp_path / name, SinkOptions(segment=segment or None)
    with another_process(output, segment) as process:
        number = process.pid
        with pytest.raises(OutputError, match=rf"is being written by process {number}; stop"):
            open_sink(str(output), options)
        process.kill()
        process.wait()
        fill(str(output), [result(0)], options)  # a killed process holds no lock


@pytest.mark.parametrize("name", OUTPUTS)
def test_no_lock_is_left_behind(tmp_path: Path, name: str) -> None:
    for results in ([], [result(0)]):
        fill(str(tmp_path / name), results)
        assert not list(tmp_path.rglob("*.lock"))


def test_a_lock_is_one_processs_until_it_lets_go(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    lock = WriteLock(path, "runs")
    with pytest.raises(OutputError, match="two outputs would write runs"):
        WriteLock(path, "runs")
    lock.release()
    lock.release()
    with WriteLock(path, "runs"):
        assert path.exists()
    assert not path.exists()


@pytest.mark.parametrize("name", OUTPUTS[:4])
def test_a_users_own_partial_file_stays_as_it_is(tmp_path: Path, name: str) -> None:
    output = tmp_path / name
    own = output.with_name(f"drive.partial{output.suffix}")
    own.write_text("of great value")
    fill(str(output), [result(0)])
    assert files(tmp_path) == sorted([name, own.name])
    assert own.read_text() == "of great value"


@pytest.mark.parametrize("name", OUTPUTS[:4])
@pytest.mark.parametrize("hidden", ["drive.partial{0}", ".drive{0}.lock"])
def test_the_target_of_a_symbolic_link_stays_as_it_is(
    tmp_path: Path, name: str, hidden: str
) -> None:
    target = tmp_path / "target"
    target.write_text("of great value")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / hidden.format(Path(name).suffix)).symlink_to(target)
    with suppress(OutputError):  # where the lock would be one
        fill(str(folder / name), [result(0)])
    assert target.read_text() == "of great value"


def test_the_target_of_a_link_among_masks_stays_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("of great value")
    fill(str(tmp_path / "masks"), [result(0)])
    for name in ("000001.png.partial", ".000001.png.partial"):
        (tmp_path / "masks" / name).symlink_to(target)
    fill(str(tmp_path / "masks"), [result(1)])
    assert target.read_text() == "of great value"


def test_a_file_that_was_put_there_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    output = tmp_path / "drive.mp4"
    sink = open_sink(str(output))
    sink.write(result(0))
    output.write_text("of great value")
    with pytest.raises(SinkError, match="another file was put there meanwhile"):
        sink.close()
    assert output.read_text() == "of great value"
    assert len(read_video(tmp_path / "drive.partial.mp4")[0]) == 1


def write(sink: Sink, count: int) -> None:
    for index in range(count):
        sink.write(result(index))


def read_back(path: Path) -> int:
    """Return the frames in an output, which must be complete."""
    if path.suffix == ".jsonl":
        return len([json.loads(line) for line in path.read_text().splitlines()]) - 1
    if path.suffix == ".json":
        return len(json.loads(path.read_text())["frames"])
    return len(read_video(path)[0])


@pytest.mark.parametrize("name", OUTPUTS[:4])
def test_a_full_disk_leaves_what_came_before_and_it_plays(tmp_path: Path, name: str) -> None:
    output = tmp_path / name
    size = 100_000 if "json" in name else 300_000
    with open_sink(str(output), SinkOptions(fps=25.0)) as sink, disk_full_after(size):
        with pytest.raises(SinkError, match=rf"{name} has the frames before"):
            write(sink, 1000)
        taken = sink.written
    assert sink.left == output
    assert files(tmp_path) == [name]
    # A video lacks the frames still in its encoder, and the last fragment of one second.
    lacking = 0 if "json" in name else 60
    assert max(1, taken - lacking) <= read_back(output) <= taken


@pytest.mark.parametrize("name", OUTPUTS[:4])
def test_a_disk_that_is_full_at_the_very_end_leaves_what_came_before(
    tmp_path: Path, name: str
) -> None:
    output = tmp_path / name
    fill(str(output), [result(index) for index in range(60)], SinkOptions(fps=25.0))
    size = output.stat().st_size
    output.unlink()
    for less in (1, 10, 700):
        with disk_full_after(size - less), pytest.raises(SinkError, match="the frames before"):
            fill(str(output), [result(index) for index in range(60)], SinkOptions(fps=25.0))
        assert read_back(output) >= 25
        output.unlink()


def test_statistics_are_whole_json_at_any_moment(tmp_path: Path) -> None:
    with open_sink(str(tmp_path / "drive.json")) as sink:
        for index in range(5):
            sink.write(result(index))
            assert read_back(tmp_path / "drive.partial.json") == index + 1
