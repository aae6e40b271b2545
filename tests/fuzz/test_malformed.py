"""Malformed input of every format is refused in one line, quickly, within a gigabyte.

``ROADSEG_FUZZ_CASES=10000`` tries that many files instead of 500; a fault names the format and the
seed that recreates its file.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fuzz_subjects import SUBJECTS, lay_out
from fuzz_worker import run_cases

_CASES = int(os.environ.get("ROADSEG_FUZZ_CASES", "500"))
#: Each of these files takes many times as long as any other one.
_SLOW = {"checkpoint": 0.5, "weights": 0.5, "ONNX": 0.5}


def share(name: str) -> int:
    """Return how many of all files have this format."""
    total = sum(_SLOW.get(one, 1.0) for one in SUBJECTS)
    return max(1, round(_CASES * _SLOW.get(name, 1.0) / total))


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_whole_file_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise its damaged files would prove nothing."""
    monkeypatch.chdir(tmp_path)
    subject = SUBJECTS[name]
    subject.read(lay_out(subject, subject.make(), tmp_path))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("name", SUBJECTS)
def test_damaged_files_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    faults = run_cases(name, range(share(name)), tmp_path)
    assert not faults, "\n".join(f"{one.subject}, seed {one.seed}: {one.what}" for one in faults)


def test_there_are_as_many_files_as_were_asked_for() -> None:
    assert abs(sum(map(share, SUBJECTS)) - _CASES) <= len(SUBJECTS)
