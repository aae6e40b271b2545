"""The table of ideas in ``docs/accuracy.md``: networks that were trained alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from calibration.metrics.regions import SIZE_BINS
from models.registry import MODELS
from models.speeds import OURS, measured_speeds
from pipeline.cli.tables import markdown_table
from pipeline.train.curves import draw_comparison
from pipeline.train.recipe import RECIPES
from scripts.pages.card_figures import Card, beside, int8_miou

#: Where the curves of these runs stand, in one picture.
PICTURE = Path(__file__).parents[2] / "docs" / "ideas.svg"

#: What the others are compared with.
REFERENCE = "fcn8s_lite"

#: Encoders other than the first five stages of EfficientNet-Lite0.
_ENCODERS = {
    "fcn8s_lite": "all of Lite0",
    "unet_lite": "all of Lite0",
    "deconvnet_lite": "quarter VGG16",
}

_TEXT = f"""\
## One encoder, one schedule, one idea each

The rows above differ in encoder and length as well. These do not: EfficientNet-Lite0 cut after its
fifth stage, ImageNet's weights, and one recipe (`_COMPARED` in `pipeline/train/recipe.py`). Rows
with another *encoder* need its coarser maps, or unpool. *Steps* are those of the registered
checkpoint and of its schedule, which is shorter where a run was cut. In brackets: the difference
from `{REFERENCE}`. *INT8* is what INT8 adds to the mIoU, *FPS* the frames per second of the INT8
engine ({{machine}}; [all speeds](performance.md#speed-against-accuracy)).
"""


def compared(cards: Mapping[str, Card]) -> dict[str, Card]:
    """Cards of the networks whose recipe is the shared one."""
    return {name: card for name, card in cards.items() if RECIPES.get(name) == RECIPES[REFERENCE]}


def section(cards: Mapping[str, Card]) -> list[str]:
    """Return the parts of the page; none without the reference network."""
    rows = compared(cards)
    if REFERENCE not in rows:
        return []
    columns = ("network", "encoder", "GMACs", "idea", "steps", "mIoU", "boundary F1")
    speeds = measured_speeds()
    fps = {
        row.network: f"{row.fps:.0f}"
        for row in speeds.rows
        if (row.tool, row.precision, row.width) == (OURS, "int8", MODELS[row.network].input.width)
    }
    table = markdown_table(
        (*columns, *SIZE_BINS, "flips", "INT8", "FPS"),
        ((*_row(name, card, rows[REFERENCE]), fps.get(name, "")) for name, card in rows.items()),
    )
    return [
        _TEXT.format(machine=speeds.machine),
        table,
        f"![Val mIoU over the steps]({PICTURE.name})\n",
    ]


def _row(name: str, card: Card, reference: Card) -> tuple[str, ...]:
    int8 = int8_miou(name)
    return (
        f"`{name}`",
        _ENCODERS.get(name, "cut"),
        f"{MODELS[name].figures.gmacs:.1f}",
        MODELS[name].paper.idea,
        f"{card['step']} of {card['recipe']['steps']}",
        *beside(card, None if name == REFERENCE else reference),
        f"{100 * card['val_detail']['flip_share']:.2f}",
        "" if int8 is None else f"{100 * (int8 - card['val']['miou']):+.2f}",
    )


def picture(cards: Mapping[str, Card]) -> str:
    """Draw the validations of all compared runs into one SVG."""
    return draw_comparison(
        "One encoder, one schedule, one idea each",
        {
            name: [(step, 100 * miou) for step, miou in card.get("validations", ())]
            for name, card in compared(cards).items()
        },
    )
