"""Arguments of ``train``."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.cli.values import Commands, count, positive, rate, share, size


def add_train(commands: Commands) -> argparse.ArgumentParser:
    """Add the command ``train``."""
    parser = commands.add_parser("train", help="train a network on labelled pictures")
    parser.add_argument("model", metavar="MODEL", help="network, see 'models'")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder with train/ and val/"
    )
    parser.add_argument(
        "--encoder-weights",
        "--trunk",  # its name until the layout; cards and people's notes have it
        metavar="FILE|published|MODEL",
        help="encoder weights to start from (models/pretrained.py lists what fits); MODEL means "
        "the encoder of that network's registered weights; default: random ones",
    )
    _fine_tuning(parser)
    parser.add_argument("--folder", type=Path, metavar="DIR", help="default: runs/MODEL[-qat]")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint")
    parser.add_argument(
        "--force", action="store_true", help="start over in a folder that holds a run"
    )
    parser.add_argument(
        "--classes",
        type=Path,
        metavar="FILE|NAME",
        help="other classes than CamVid's: cityscapes, voc, or a file with a line 'NAME [R,G,B]' "
        "per class, in the order of the label values; a class named void is never scored",
    )
    _recipe(parser)
    parser.add_argument("--seed", type=count, default=0, metavar="N", help="default: 0")
    parser.add_argument("--threads", type=positive, metavar="N", help="CPU threads; default: all")
    _card(parser)
    return parser


def _recipe(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("instead of the settings in pipeline/train/recipe.py")
    group.add_argument("--steps", type=positive, metavar="N", help="steps of the optimiser")
    group.add_argument("--batch", type=positive, metavar="N", help="pictures per step")
    group.add_argument("--crop", type=size, metavar="WxH", help="size of the training crops")
    group.add_argument(
        "--rate",
        type=rate,
        metavar="R",
        help="peak learning rate; with --weights 0.4 of the recipe's",
    )
    group.add_argument(
        "--synthetic",
        type=share,
        metavar="SHARE",
        help="share of the training pictures that are frames of the synthetic drive, 0 to 1",
    )
    group.add_argument(
        "--patience",
        type=positive,
        metavar="N",
        help="stop after N validations without a better mIoU; by default a run goes on to its last "
        "step",
    )


def _card(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--licence",
        default="not stated: ask whoever made the data before using these weights",
        metavar="TEXT|camvid",
        help="terms of the data, for the card",
    )
    parser.add_argument("--notes", default="", metavar="TEXT", help="for the card")
    parser.add_argument(
        "--publish",
        nargs="?",
        choices=("weights", "card"),
        const="weights",
        help="put weights, card and curves into models/trained; 'card': all but the weights, which "
        "may be too large for a repository",
    )


def _fine_tuning(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--qat", action="store_true", help="fine-tune trained weights for INT8, for a few epochs"
    )
    parser.add_argument(
        "--weights",
        metavar="FILE|MODEL",
        help="continue from trained weights, also of other classes; MODEL means the registered "
        "ones, the default with --qat",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="DIR|VIDEO|TABLE.json",
        help="with --qat: where the INT8 ranges come from; default: the registered table",
    )
