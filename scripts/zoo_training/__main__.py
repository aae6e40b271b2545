"""Train networks (default: all without registered weights), several at once, within a time.

The cheapest trainings come first. Each is `roadseg train` with the network's recipe in a process of
its own; its output goes to OUTPUT/NETWORK.log. When the time is up, or with Ctrl-C, the trainings
save their checkpoints; the same command continues them and skips finished ones.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from models.errors import RoadsegError
from models.registry import MODELS, model_spec
from models.weights import registered_weights
from pipeline.train.recipe import RECIPES, recipe_of
from scripts.zoo_training.runs import Run, run_all


def main() -> int:
    """Train, and print what became of each network; 1 if one failed."""
    parser = argparse.ArgumentParser(prog="scripts/train_zoo.sh", description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder with train/ and val/"
    )
    parser.add_argument("--output", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument(
        "--at-once", type=int, default=1, metavar="N", help="trainings at the same time; default: 1"
    )
    parser.add_argument("--minutes", type=float, metavar="N", help="stop all of them after a time")
    parser.add_argument("--steps", type=int, metavar="N", help="instead of each recipe's")
    parser.add_argument(
        "--vgg16",
        metavar="FILE",
        help="VGG16's weights, where torchvision's address cannot be reached",
    )
    parser.add_argument("--list", action="store_true", help="only list them, in their order")
    options = parser.parse_args()
    try:
        names = chosen(options.networks)
    except RoadsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    runs = [
        Run(name, options.data, options.output, start_of(name, options.vgg16), options.steps)
        for name in names
    ]
    if options.list:
        print("\n".join(f"{run.name}\t{' '.join(run.start) or 'random weights'}" for run in runs))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run_all(runs, options.at_once, None if options.minutes is None else 60 * options.minutes)
    print("\n".join(f"{run.name}: {run.outcome()}" for run in runs))
    return int(any(run.failed for run in runs))


def chosen(names: Sequence[str]) -> list[str]:
    """Return the networks to train, the cheapest first.

    Raises:
        RoadsegError: no such network, or it has no recipe.
    """
    if not names:
        names = [name for name in MODELS if name in RECIPES and registered_weights(name) is None]
    return sorted(names, key=cost)


def cost(name: str) -> float:
    """Return 10^9 multiply-adds of all forward passes of a network's training.

    Raises:
        RoadsegError: no such network, or it has no recipe.
    """
    spec, recipe = model_spec(name), recipe_of(name)
    share = recipe.crop[0] * recipe.crop[1] / (spec.input.height * spec.input.width)
    return recipe.steps * recipe.batch * share * spec.figures.gmacs


def start_of(name: str, vgg16: str | None = None) -> list[str]:
    """Return the options of ``roadseg train`` that tell where a network's encoder starts.

    Args:
        name: registry name.
        vgg16: a file with VGG16's weights; None for the published ones.
    """
    encoder = model_spec(name).encoder
    if name == "deconvnet_lite":
        return ["--encoder-weights", "segnet_lite"]
    if encoder is None or encoder == "ddrnet23_slim":  # its file must be fetched by hand
        return []
    if vgg16 is not None and encoder.startswith("vgg16"):
        return ["--encoder-weights", vgg16]
    return ["--encoder-weights", "published"]


if __name__ == "__main__":
    sys.exit(main())
