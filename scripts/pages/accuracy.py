"""``docs/accuracy.md``, made from the registry and the cards of the weights.

``scripts/accuracy_page.sh`` writes it; a test compares. Nothing here needs torch.
"""

from __future__ import annotations

import re
from pathlib import Path

from calibration.metrics.boundary import TOLERANCE
from calibration.metrics.regions import SIZE_BINS
from models.classes import CAMVID
from models.registry import MODELS
from models.spec import InputSpec, ModelSpec
from models.weights import registered_weights, weights_card
from pipeline.cli.tables import markdown_table
from scripts.pages import ideas
from scripts.pages.card_figures import Card, beside, int8_miou, percent

#: Path of the page.
PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"

_DATA = "$ROADSEG_DATA/camvid"

#: The others are compared with it.
REFERENCE = "fcn8s"

_HEAD = """\
# Accuracy

<!-- Made by scripts/accuracy_page.sh; a test compares. Change scripts/pages/accuracy.py. -->

CamVid in the 11-class split of the SegNet tutorial, 480x360, trained on its 367 training frames.
All figures are in percent; mIoU comes from one confusion matrix over all frames, at the resolution
of the labels, without void.

**The papers' figures and ours are from different splits.** Theirs are from test. Ours are from val,
101 frames of a drive that also supplies training frames: scores are about ten points higher there.
The checkpoint of each run was also chosen on val.

*FP32* is PyTorch on the weight file as it is published, its convolutions stored as int8 per output
channel. *INT8* is an OpenVINO engine with the registered calibration table, which contains this
figure (`models/trained/NETWORK.calibration.json`, measured by `scripts/calibrate.sh NETWORK`).

A card lists data, recipe, seed, time, hardware and licence of its weights; the curves are loss and
val mIoU over the steps. Where weights are too large for the repository, the card has their SHA-256
and the command is the one that trains them. [experiments.md](experiments.md) tells what was tried.
"""

_DETAIL = f"""\
## What one mIoU hides

- *Boundary F1* (Csurka et al. 2013): F1 of the outlines of each class, where a pixel counts if it
  has a counterpart within {TOLERANCE} pixels; mean over the classes.
- *Recall by size*: share of correctly classified pixels in labelled regions (connected pixels of
  one class), by the size of the region. At 480x360 pixels:
  {{bins}}.
- *Flips*: share of the pixels with the same label in two consecutive frames (a fifteenth of a
  second apart) whose predicted class changes. Lower is steadier.

In brackets: the difference from `{REFERENCE}`, the best of the first fully convolutional networks.
*Idea* is what a network has and they lack. It does not explain a difference alone: *encoder* says
what each started from, published weights or the trained encoder of another network, and those with
"more" steps continued from weights trained before. Networks with the same encoder and the same
steps were trained alike. The commands are those above.
"""

_CLASSES = """\
## IoU per class
"""

_LICENCE = """\
CamVid (Brostow et al. 2009) is for research only, and so are weights trained on it.
"""


def all_cards() -> dict[str, Card]:
    """Cards of the registered networks that have one, in the registry's order."""
    return {name: card for name in MODELS if (card := weights_card(name)) is not None}


def page() -> str:
    """Write the page."""
    cards = all_cards()
    parts = [
        _HEAD,
        markdown_table(
            ("network", "parameters", "paper, test", "ours, val, FP32", "INT8", "", "command"),
            (_row(spec, cards.get(spec.name)) for spec in MODELS.values()),
        ),
        *_notes(),
        _DETAIL.format(bins=_bins()),
        markdown_table(
            ("network", "idea", "encoder", "steps", "mIoU", "boundary F1", *SIZE_BINS, "flips"),
            (_detail_row(MODELS[name], card, cards[REFERENCE]) for name, card in cards.items()),
        ),
        *ideas.section(cards),
        _CLASSES,
        markdown_table(
            ("network", *CAMVID.names),
            (
                (f"`{name}`", *(percent(card["val"]["iou"][of]) for of in CAMVID.names))
                for name, card in cards.items()
            ),
        ),
        _LICENCE,
    ]
    return "\n".join(parts)


def _notes() -> list[str]:
    return [
        f"The paper's figure of `{spec.name}` is {spec.paper.camvid_note}.\n"
        for spec in MODELS.values()
        if spec.paper.camvid_note
    ]


def _row(spec: ModelSpec, card: Card | None) -> tuple[str, ...]:
    known = (
        f"`{spec.name}`",
        f"{spec.figures.parameters / 1e6:.2f} M",
        percent(spec.paper.camvid_test_miou),
    )
    if card is None:
        return (*known, "", "", "", "")
    links = [f"[card](../models/trained/{spec.name}.json)"]
    if "curves" in card:
        links.append(f"[curves](../models/trained/{card['curves']})")
    command = f"python -m pipeline evaluate {spec.name} --data {_DATA}/val --detail"
    if registered_weights(spec.name) is None:
        command = card["command"]
    return (
        *known,
        percent(card["val"]["miou"]),
        percent(int8_miou(spec.name)),
        ", ".join(links),
        f"`{command}`",
    )


def _detail_row(spec: ModelSpec, card: Card, reference: Card) -> tuple[str, ...]:
    further = str(card["pretrained"]).startswith("trained weights")
    donor = re.match(r"the encoder of trained weights (\w+)\.", str(card["pretrained"]))
    encoder = spec.encoder if card["pretrained"] and spec.encoder else "random"
    return (
        f"`{spec.name}`",
        spec.paper.idea,
        f"{encoder} of `{donor[1]}`" if donor else encoder,
        f"{card['step']}{' more' if further else ''}",
        *beside(card, None if spec.name == REFERENCE else reference),
        f"{100 * card['val_detail']['flip_share']:.2f}",
    )


def _bins() -> str:
    spec = InputSpec()
    pixels = spec.width * spec.height
    *bounded, largest = SIZE_BINS
    named = [f"{name} below {SIZE_BINS[name] * pixels:.0f}" for name in bounded]
    return ", ".join([*named, f"{largest} above"])


def main() -> None:
    """Write the page and the picture of the compared runs."""
    PAGE.write_text(page(), encoding="utf-8")
    if ideas.section(all_cards()):
        ideas.PICTURE.write_text(ideas.picture(all_cards()), encoding="utf-8")


if __name__ == "__main__":
    main()
