"""The table of ideas: networks of one recipe, compared with one reference."""

from __future__ import annotations

from typing import Any

import pytest

from models.weights import weights_card
from pipeline.train.recipe import RECIPES
from scripts.pages import ideas
from scripts.pages.accuracy import all_cards


@pytest.fixture
def cards() -> dict[str, dict[str, Any]]:
    """The repository's cards, and that of the invented reference."""
    card = weights_card("deeplab_v2_lite")
    assert card is not None
    val = {**card["val"], "miou": card["val"]["miou"] - 0.05}
    reference = {**card, "val": val, "step": 3000, "validations": [[500, 0.6], [3000, 0.66]]}
    return {**all_cards(), "fcn8s_lite": reference}


def test_every_network_of_the_shared_recipe_has_a_row_beside_the_reference(
    cards: dict[str, dict[str, Any]],
) -> None:
    rows = [line for part in ideas.section(cards) for line in part.splitlines() if "| `" in line]
    named = [row.split("`")[1] for row in rows]
    assert sorted(named) == sorted(name for name in cards if name in ideas.compared(cards))
    assert "deeplab_v3plus_lite" not in named  # trained with another recipe
    cells = {row.split("`")[1]: [cell.strip() for cell in row.split("|")[2:-1]] for row in rows}
    score = 100 * cards["deeplab_v2_lite"]["val"]["miou"]
    assert cells["deeplab_v2_lite"][4] == f"{score:.1f} (+5.0)"
    assert cells["fcn8s_lite"][4] == f"{score - 5:.1f}"
    assert cells["fcn8s_lite"][3] == "3000 of 5000"
    assert cells["fcn8s_lite"][0] == "all of Lite0"


def test_what_is_compared_needs_the_reference(cards: dict[str, dict[str, Any]]) -> None:
    assert ideas.section({k: v for k, v in cards.items() if k != "fcn8s_lite"}) == []


def test_a_run_of_its_own_recipe_alone_is_compared(cards: dict[str, dict[str, Any]]) -> None:
    assert all(RECIPES[name] == RECIPES["fcn8s_lite"] for name in ideas.compared(cards))


def test_the_picture_is_what_its_generator_makes() -> None:
    cards = all_cards()
    if ideas.section(cards):
        assert ideas.PICTURE.read_text(encoding="utf-8") == ideas.picture(cards)
    assert ideas.PICTURE.exists() == bool(ideas.section(cards))


def test_the_picture_has_the_validations_of_each_run(cards: dict[str, dict[str, Any]]) -> None:
    drawn = ideas.picture(cards)
    assert drawn.count("<polyline") == len(ideas.compared(cards))
    assert "fcn8s_lite" in drawn
