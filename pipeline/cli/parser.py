"""Arguments of every command. It imports no torch and no runtime, so ``--help`` is instant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pipeline import __version__
from pipeline.cli.bench_parser import add_bench
from pipeline.cli.build_parser import add_build, check_build
from pipeline.cli.completion import PrintCompletion
from pipeline.cli.config import document_of, with_config
from pipeline.cli.run_parser import add_run, check_run
from pipeline.cli.scale_parser import add_archive, add_export_triton
from pipeline.cli.train_parser import add_train
from pipeline.cli.values import Commands, add_engine, points, positive, wrong_path


class OneLineParser(argparse.ArgumentParser):
    """Tells wrong usage in one line; argparse makes the parsers of the commands of it too."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with status 2."""
        self.exit(2, f"error: {' '.join(message.split())}; '{self.prog} --help' lists the usage\n")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line; wrong usage exits with status 2, as argparse does."""
    parser = make_parser()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["run"]:
        run = command_parser(parser, "run")
        words = with_config(words, run)
    options = parser.parse_args(words)
    if options.command == "run" and options.print_config:
        print(document_of(words, run))
        parser.exit()
    for name, value in vars(options).items():
        for one in value if isinstance(value, list) else [value]:
            if (reason := wrong_path(one)) is not None:
                parser.error(f"{options.command}: {name.replace('_', '-')} is {reason}")
    if options.command == "models":
        _check_models(parser, options)
    elif options.command == "build":
        check_build(parser, options)
    elif options.command == "run":
        check_run(parser, options)
    return options


def command_parser(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    """Return the parser of one command."""
    [commands] = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    found: argparse.ArgumentParser = commands.choices[name]
    return found


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; ``docs/cli.md`` is made from it."""
    parser: argparse.ArgumentParser = OneLineParser(
        prog="roadseg",
        description="Build, check and run segmentation engines for road scenes.",
    )
    parser.add_argument("--version", action="version", version=f"roadseg {__version__}")
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        metavar="SHELL",
        help="print the completion script for bash, zsh or tcsh",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (
        _models,
        add_build,
        add_run,
        add_archive,
        add_export_triton,
        _evaluate,
        add_bench,
        _compare,
        _inspect,
        add_train,
        _convert_labels,
        _doctor,
    ):
        command = add(commands)
        command.add_argument(
            "--json", action="store_true", help="print one JSON object as the last line"
        )
        told = command.add_mutually_exclusive_group()
        told.add_argument("--verbose", action="store_true", help="log what happens")
        told.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def _models(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser("models", help="list the networks, or show one in detail")
    parser.add_argument("network", nargs="?", metavar="NETWORK", help="show this one in detail")
    views = parser.add_mutually_exclusive_group()
    views.add_argument(
        "--receptive-field",
        type=Path,
        metavar="PNG",
        help="draw the theoretical and the effective receptive field of a central output",
    )
    views.add_argument(
        "--activations", type=Path, metavar="PNG", help="draw the decoder's maps stage by stage"
    )
    views.add_argument(
        "--fastest",
        action="store_true",
        help="list networks with weights, fastest first, as measured on one machine",
    )
    parser.add_argument(
        "--min-miou",
        type=points,
        default=0.0,
        metavar="N",
        help="with --fastest: only those with at least N points of mIoU on val, 0 to 100",
    )
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="default: frame 0 of the synthetic drive"
    )
    parser.add_argument(
        "--weights", metavar="NAME|PATH|none", help="default: the registered ones, else random"
    )
    return parser


def _check_models(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    view = options.receptive_field or options.activations
    if view and not options.network:
        parser.error("models: --receptive-field and --activations need a NETWORK")
    if (options.picture or options.weights) and not view:
        parser.error("models: --picture and --weights need --receptive-field or --activations")
    if options.min_miou and not options.fastest:
        parser.error("models: --min-miou needs --fastest")
    if options.fastest and options.network:
        parser.error("models: --fastest compares all networks; leave NETWORK out")


def _evaluate(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "evaluate", help="score an engine, or a network in PyTorch, on labelled pictures"
    )
    parser.add_argument("engine", metavar="ENGINE|MODEL", help="engine file, or a network's name")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder with images/ and labels/"
    )
    parser.add_argument(
        "--weights", metavar="NAME|PATH|none", help="for a MODEL; default: the best registered ones"
    )
    parser.add_argument(
        "--ensemble",
        action="append",
        default=[],
        metavar="MODEL[=WEIGHTS]",
        help="average the probabilities of MODEL and of this network; may be repeated",
    )
    parser.add_argument(
        "--detail",
        action="store_true",
        help="also boundary F1, recall by region size, and flips between consecutive frames",
    )
    return parser


def _compare(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "compare", help="compare two engines on the same pictures: agreement, mIoU, speed"
    )
    parser.add_argument(
        "engines",
        type=Path,
        nargs=2,
        metavar="ENGINE",
        help="first a, then b, which is compared with a",
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with images/ and labels/, or of pictures alone (then without mIoU)",
    )
    parser.add_argument(
        "--frames", type=positive, metavar="N", help="use N of the pictures, evenly spaced"
    )
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="draw the frames that differ most into DIR"
    )
    return parser


def _inspect(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser("inspect", help="verify an engine and print its manifest")
    add_engine(parser)
    return parser


def _convert_labels(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "convert-labels",
        help="convert labels of CamVid, Cityscapes, BDD100K or VOC to the layout of --data",
    )
    parser.add_argument("labels", type=Path, metavar="LABELS", help="folder of label PNGs")
    parser.add_argument(
        "--from",
        dest="kind",
        choices=("camvid", "cityscapes", "bdd100k", "voc", "binary"),
        help="form of the labels: CamVid's 32 colours, Cityscapes' ids or colours, train ids "
        "(BDD100K), VOC's palette, 0 and 255; default: detected",
    )
    parser.add_argument(
        "--classes", type=Path, metavar="FILE", help="labels have the colours of this class file"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="pictures of the labels, copied to images/"
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for labels/NAME.png and classes.txt",
    )
    parser.add_argument("--force", action="store_true", help="replace labels of the same names")
    return parser


def _doctor(commands: Commands) -> argparse.ArgumentParser:
    return commands.add_parser(
        "doctor", help="show what this machine can build and run, and what to install for the rest"
    )
