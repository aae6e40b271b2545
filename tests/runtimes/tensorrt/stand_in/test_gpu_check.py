"""The steps of scripts/check_gpu.sh, as far as the stand-in supports them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rigs import require_stand_in

require_stand_in()

_ROOT = Path(__file__).parents[4]


def _step(name: str, folder: Path) -> dict[str, Any]:
    file = folder / "step.json"
    command = [sys.executable, "-m", "scripts.gpu_check", name, str(file), "0.01"]
    subprocess.run(command, cwd=_ROOT, capture_output=True, check=False)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def test_the_driver_step_ends_with_what_it_measured(tmp_path: Path) -> None:
    found = _step("driver", tmp_path)
    assert found["ok"], found
    assert found["gpu"] == "the stand-in"
    assert found["nested"]
    assert found["other_thread"]
    assert found["silent_end"] == {"status": 0, "said": ""}


def test_the_overlay_step_compares_with_the_processor(tmp_path: Path) -> None:
    found = _step("overlay", tmp_path)
    assert found["ok"], found
    assert found["pictures"] > 20
    assert found["largest_difference"] <= 1


@pytest.mark.slow
def test_the_session_step_compares_with_onnx_runtime(tmp_path: Path) -> None:
    found = _step("session", tmp_path)
    assert found["ok"], found
    assert found["compared_with"].startswith("ONNX Runtime")
    assert found["runs"] == 5


@pytest.mark.slow
def test_the_step_of_the_illegal_access_sees_a_process_end_silently(tmp_path: Path) -> None:
    found = _step("illegal", tmp_path)
    assert found["ok"], found
    assert found["said"] == []
    assert "lost True" in found["told"]


def test_a_step_says_what_is_missing_and_claims_nothing(tmp_path: Path) -> None:
    found = _step("networks", tmp_path)
    assert not found["ok"]
    assert found["missing"] == "PyTorch sees no GPU"
