"""The page about accuracy agrees with the cards, and the cards with the files beside them."""

from __future__ import annotations

import re
import shlex
from xml.etree import ElementTree

import pytest

from calibration.metrics.regions import SIZE_BINS
from calibration.table import load_table
from models.atomic import sha256_of
from models.registry import MODELS, model_spec
from models.weights import TRAINED, registered_table, weights_card
from pipeline.cli.parser import parse_arguments
from scripts.pages import accuracy
from scripts.pages.accuracy import PAGE, page

CARDS = sorted(path.stem for path in TRAINED.glob("*.json") if "." not in path.stem)


def test_the_page_is_what_its_generator_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run scripts/accuracy_page.sh"


def test_every_network_has_a_row_and_every_card_its_figures() -> None:
    lines = page().splitlines()
    for name in MODELS:
        (row,) = (line for line in lines if line.startswith(f"| `{name}`") and " M |" in line)
        card = weights_card(name)
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[3] == ("" if card is None else f"{100 * card['val']['miou']:.1f}")


def test_the_gain_over_fcn_8s_stands_beside_each_score() -> None:
    reference = weights_card("fcn8s")
    assert reference is not None
    assert all(spec.paper.idea for spec in MODELS.values())
    for name in CARDS:
        card, paper = weights_card(name), model_spec(name).paper
        assert card is not None
        start = f"| `{name}` | {paper.idea} | "
        (row,) = (line for line in page().splitlines() if line.startswith(start))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        score = 100 * card["val"]["miou"]
        gain = score - 100 * reference["val"]["miou"]
        assert cells[4] == f"{score:.1f}" + ("" if name == "fcn8s" else f" ({gain:+.1f})")


def test_every_command_of_the_page_can_be_typed() -> None:
    commands = re.findall(r"`python -m pipeline (.*?)`", page())
    assert len(commands) == len(CARDS)
    for command in commands:
        parsed = parse_arguments(shlex.split(command))
        assert (getattr(parsed, "model", None) or parsed.engine) in MODELS


def test_a_network_with_a_card_alone_is_reproduced_by_training_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = "python -m pipeline train fcn8s --data $ROADSEG_DATA/camvid --seed 0"
    card = {**(weights_card("segnet") or {}), "command": command}
    monkeypatch.setattr(accuracy, "weights_card", lambda name: card if name == "fcn8s" else None)
    text = page()
    assert f"`{command}`" in text
    assert "pipeline evaluate" not in text


def test_int8_figures_are_those_of_the_registered_tables() -> None:
    tables = [name for name in CARDS if registered_table(name).exists()]
    assert len(tables) >= 2
    for name in tables:
        (row,) = (
            line
            for line in page().splitlines()
            if line.startswith(f"| `{name}`") and " M |" in line
        )
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        table = load_table(registered_table(name))
        assert cells[4] == f"{100 * table.measured['judged']['miou']:.1f}"


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_about_the_weights_and_curves_beside_it(name: str) -> None:
    card = weights_card(name)
    assert card is not None
    assert card["model"] == name
    weights = TRAINED / card["file"]
    if weights.exists():
        assert sha256_of(weights) == card["sha256"]
        assert weights.stat().st_size == card["bytes"]
    else:
        assert card["command"].startswith("python -m pipeline train")
    curves = (TRAINED / card["curves"]).read_text(encoding="utf-8")
    assert name in next(t.text or "" for t in ElementTree.fromstring(curves) if t.text)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_has_the_detail_figures(name: str) -> None:
    card, classes = weights_card(name), model_spec(name).classes
    assert card is not None
    detail = card["val_detail"]
    assert list(detail["recall_by_size"]) == list(SIZE_BINS)
    assert set(detail["boundary_f1_per_class"]) == set(classes.names) == set(card["val"]["iou"])
    f1 = list(detail["boundary_f1_per_class"].values())
    assert detail["boundary_f1"] == pytest.approx(sum(f1) / len(f1))
    sizes = detail["recall_by_size"].values()
    found = sum(size["recall"] * size["pixels"] for size in sizes)
    # Every labelled pixel is in exactly one region: the bins add up to the pixel accuracy.
    accuracy_ = found / sum(size["pixels"] for size in sizes)
    assert accuracy_ == pytest.approx(card["val"]["pixel_accuracy"], abs=1e-4)
    assert 0 < detail["flip_share"] < 0.2
    assert detail["frame_pairs"] == 100
