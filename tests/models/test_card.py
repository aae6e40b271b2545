"""Cards of weights: each included one is valid, and a damaged one is reported in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.card import read_card
from models.errors import WeightsError
from models.weights import TRAINED

CARDS = [path for path in TRAINED.glob("*.json") if ".calibration" not in path.name]


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_a_card_that_is_carried_reads_back_as_it_is(path: Path) -> None:
    assert read_card(path) == json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda card: card.pop("sha256"), "required field `sha256`"),
        (lambda card: card["val"].update(miou="good"), r"Expected `float`, got `str` - at `\$.val"),
        (lambda card: card.clear(), "missing required field"),
    ],
)
def test_a_damaged_card_is_refused_in_one_line(
    change: Callable[[dict[str, Any]], object], said: str, tmp_path: Path
) -> None:
    card = json.loads(CARDS[0].read_text(encoding="utf-8"))
    change(card)
    path = tmp_path / "net.json"
    path.write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(WeightsError, match=said) as caught:
        read_card(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_card_of_other_keys_keeps_them(tmp_path: Path) -> None:
    card = json.loads(CARDS[0].read_text(encoding="utf-8")) | {"source": "elsewhere"}
    path = tmp_path / "net.json"
    path.write_text(json.dumps(card), encoding="utf-8")
    assert read_card(path) == card
