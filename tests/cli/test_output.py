"""A command's output, also where printing fails, and names that would move the cursor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.cli.parser import parse_arguments
from pipeline.errors import printable

_ROOT = Path(__file__).parents[2]


def roadseg(line: str) -> subprocess.CompletedProcess[str]:
    """Run a shell line in which ``$R`` is the program."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; R='{sys.executable} -m pipeline'; {line}"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = roadseg("$R models | true")
    assert done.returncode == 0
    assert done.stderr == ""


def test_a_full_disk_under_standard_output_is_one_line() -> None:
    done = roadseg("$R models > /dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: the result cannot be written to standard output (No space"
    )
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\x07bell", "right\u202eleft", "c\x9b1m"])
def test_nothing_in_a_name_reaches_the_terminal(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(tmp_path / name)]) == 1
    told = capsys.readouterr().err
    assert "not found" in told
    assert told.rstrip("\n").isprintable()
    assert ascii(name)[1:-1] in told


def test_what_is_printable_stays_as_it_is() -> None:
    text = "Straße, 道路, café\nsecond line\twith a tab"
    assert printable(text) == text


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--frames", "9" * 5000),
        ("--frames", "99999999999"),
        ("--segment", "9" * 400 + "h"),
        ("--keep", "9" * 400 + "TB"),
        ("--http-port", "9" * 5000),
        ("--camera-size", "999999999x1"),
        ("--trace", "a" * 300),
        ("--trace", "a/" * 3000),
    ],
)
def test_a_value_that_nothing_can_hold_is_wrong_usage(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        parse_arguments(
            ["run", "engine", "--source", "synthetic", "--segment", "1h", option, value]
        )
    assert left.value.code == 2
    assert f"argument {option}" in (told := capsys.readouterr().err) or option[2:] in told
