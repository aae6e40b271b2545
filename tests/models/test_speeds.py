"""The choice of the fastest network that is accurate enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import ModelError
from models.registry import MODELS
from models.speeds import OURS, Speed, Speeds, fastest, measured_speeds
from models.weights import registered_weights


def row(network: str, miou: float, milliseconds: float, tool: str = OURS) -> Speed:
    return Speed(network, tool, "int8", 480, 360, miou, milliseconds)


SPEEDS = Speeds(
    "a machine",
    "2026-01-01",
    30,
    (row("slow", 0.8, 50), row("fast", 0.6, 5), row("middle", 0.7, 10), row("x", 0.9, 1, "else")),
)


def test_the_fastest_comes_first_and_other_tools_do_not_count() -> None:
    assert [one.network for one in fastest(SPEEDS)] == ["fast", "middle", "slow"]
    assert [one.network for one in fastest(SPEEDS, 0.7)] == ["middle", "slow"]
    assert SPEEDS.rows[0].fps == 20


def test_what_nothing_reaches_is_told_with_the_best() -> None:
    with pytest.raises(ModelError, match=r"reaches 81 mIoU; the best, slow, has 80\.0: give .* 80"):
        fastest(SPEEDS, 0.81)


def test_a_file_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    SPEEDS.save(tmp_path / "speeds.json")
    assert measured_speeds(tmp_path / "speeds.json") == SPEEDS


@pytest.mark.parametrize("content", ["", "[]", '{"machine": 3}', '{"machine": "a"}'])
def test_a_damaged_file_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "speeds.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"speeds\.json cannot be read .* install roadseg again"):
        measured_speeds(tmp_path / "speeds.json")


def test_every_network_with_weights_was_measured() -> None:
    measured = {one.network for one in measured_speeds().rows if one.tool == OURS}
    assert measured == {name for name in MODELS if registered_weights(name) is not None}
