"""The table of ideas in ``docs/accuracy.md``: networks that were trained alike."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from calibration.metrics.regions import SIZE_BINS
from models.registry import MODELS
from models.speeds import OURS, measured_speeds
from pipeline.cli.tables import markdown_table
from pipeline.train.curves import draw_comparison
from pipeline.train.recipe import RECIPES
from scripts.pages.card_figures import Card, beside, int8_miou, percent

#: The curves of these runs, in one picture.
PICTURE = Path(__file__).parents[2] / "docs" / "ideas.svg"

#: The others are compared with it.
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

#: Figures are filled in from the cards: ``{miou[NAME]}``, ``{outline[NAME]}`` (boundary F1) and
#: ``{tiny[NAME]}`` (recall of tiny regions), all in percent.
_WORTH = """
*Dilation* is worth most. Kept at stride 8, a fifth of the encoder's weights with one dilated
convolution (`deeplab_v1_lite`, {miou[deeplab_v1_lite]}) beats all of it with scores fused from
strides 32, 16 and 8 (`fcn8s_lite`, {miou[fcn8s_lite]}), above all in pavement, fences and cars, for
twice the operations. *Context* comes next, and costs little: a module of growing dilations over the
scores ({miou[dilatednet_lite]}), several rates side by side ({miou[deeplab_v2_lite]}) and means of
the picture and its parts ({miou[pspnet_cut5]}) add one to two points. All three draw finer outlines
(boundary F1 {outline[dilatednet_lite]}, {outline[deeplab_v2_lite]} and {outline[pspnet_cut5]}
against {outline[deeplab_v1_lite]}), several rates find more of what is tiny
({tiny[deeplab_v2_lite]} against {tiny[deeplab_v1_lite]}), and means help cars; rates and means
together are the best of these ({miou[deeplab_v3_cut5]}). *Skips of features* are worth outlines:
`unet_lite` has finer ones than `fcn8s_lite` ({outline[unet_lite]} against {outline[fcn8s_lite]})
but less mIoU without context, and `deeplab_v3plus_lite`, which joins all three ideas, is the best
network here in every column ({miou[deeplab_v3plus_lite]}, boundary F1
{outline[deeplab_v3plus_lite]} against {outline[deeplab_v3_lite]} without skips). *Unpooling*
remembers where things were and not what they were: tiny regions are found as often as with skips
({tiny[deconvnet_lite]} and {tiny[segnet_lite]}), large ones less often, and class maps flicker
twice as much; it costs almost no time or memory. So the order for a camera is dilation, context,
skips; with a deadline, take `deeplab_v3plus_lite`, and make its picture smaller before you take a
smaller network.
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
        "### What each idea is worth on a road\n",
        _worth(cards),
    ]


def _worth(cards: Mapping[str, Card]) -> str:
    details = {name: card["val_detail"] for name, card in cards.items()}
    text = _WORTH.format(
        miou={name: percent(card["val"]["miou"]) for name, card in cards.items()},
        outline={name: percent(found["boundary_f1"]) for name, found in details.items()},
        tiny={
            name: percent(found["recall_by_size"]["tiny"]["recall"])
            for name, found in details.items()
        },
    )
    return textwrap.fill(" ".join(text.split()), 100) + "\n"


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
