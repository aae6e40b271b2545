"""Arguments of ``run``."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.cli.values import (
    Commands,
    add_hint,
    amount,
    count,
    duration,
    fourcc,
    listed,
    port,
    positive,
    share,
    size,
)

_SEVERAL = (
    "Several sources: each has its own output. out.mp4 becomes out-1.mp4, out-2.mp4 and so on, a "
    "folder of masks DIR becomes DIR/1, DIR/2, in the order of --source; http is one page with a "
    "tab per camera."
)


def add_run(commands: Commands) -> argparse.ArgumentParser:
    """Add the command ``run``."""
    parser = commands.add_parser(
        "run",
        help="segment videos, pictures, cameras or the synthetic drive",
        epilog=_SEVERAL,
    )
    parser.add_argument(
        "engine",
        metavar="ENGINE|NETWORK|triton://HOST:PORT/NAME",
        help="engine file or its manifest; or a network (see 'models'), whose engine is built "
        "unless there is a current one; or a model on a Triton server (see 'export-triton')",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "bf16", "int8"),
        help="for a NETWORK; default: the fastest one whose accuracy is known",
    )
    _sources(parser)
    _sinks(parser)
    _looks(parser)
    parser.add_argument(
        "--frames", type=positive, metavar="N", help="stop after N frames of each source"
    )
    add_hint(parser)
    _config(parser)
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="if the engine cannot be loaded any more, build it again from the bundle beside it",
    )
    parser.add_argument(
        "--watch", action="store_true", help="reload the engine when its file is replaced"
    )
    parser.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help="write what each thread did and when, for ui.perfetto.dev or chrome://tracing",
    )
    return parser


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="YAML",
        help="read options from a file that --print-config wrote; the command line wins",
    )
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print these options as a file for --config, and run nothing",
    )


def _looks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how results are drawn")
    group.add_argument(
        "--smooth",
        action="store_true",
        help="smooth classes over three frames: less flicker, less accurate where things move",
    )
    group.add_argument(
        "--fine-edges", action="store_true", help="draw smooth class outlines instead of steps"
    )
    group.add_argument(
        "--opacity",
        type=share,
        default=0.5,
        metavar="SHARE",
        help="opacity of the class colours over the picture, 0 to 1; default: %(default)s",
    )
    group.add_argument(
        "--no-legend", action="store_true", help="do not draw class names and shares"
    )
    group.add_argument(
        "--show",
        type=listed,
        metavar="Car,Pedestrian",
        help="draw only these classes; statistics and masks still have all of them",
    )
    group.add_argument(
        "--palette",
        choices=("clear", "camvid", "cityscapes", "colourblind"),
        help="colours of overlays and of the page; default: clear for CamVid's classes, else the "
        "class file's own. Masks keep the published colours",
    )


def check_run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    if options.engine.startswith("triton://") and (options.watch or options.rebuild):
        parser.error(
            "run: --watch and --rebuild are for local engines; a Triton server loads its own"
        )
    if options.keep and not options.segment:
        parser.error("run: --keep removes old segments; give --segment too")


def _sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        required=True,
        action="append",
        metavar="0|PATH|DIR|URL|synthetic",
        help="camera number or csi, video, picture, folder, stream (rtsp://, http://), "
        "stdin:WxH@FPS for raw BGR frames on standard input, or synthetic[:WxH]; may be repeated",
    )
    parser.add_argument(
        "--realtime", action="store_true", help="play a file at its own rate, as if live"
    )
    parser.add_argument(
        "--loop", action="store_true", help="start a file again at its end, until a signal"
    )
    parser.add_argument(
        "--every", type=positive, default=1, metavar="N", help="use every Nth frame of a file"
    )
    parser.add_argument(
        "--start",
        type=duration,
        default=0.0,
        metavar="T",
        help="skip so much of a video's beginning, such as 90s or 2m",
    )
    parser.add_argument(
        "--retries",
        type=count,
        metavar="N",
        help="reconnect a lost camera at most N times; default: for ever",
    )
    parser.add_argument(
        "--camera-size", type=size, metavar="WxH", help="frame size to ask a camera for"
    )
    parser.add_argument("--camera-fps", type=positive, metavar="N", help="rate to ask a camera for")
    parser.add_argument(
        "--camera-format",
        type=fourcc,
        metavar="FOURCC",
        help="format to ask a camera for, such as MJPG",
    )


def _sinks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sink",
        action="append",
        default=[],
        metavar="PATH|window|http|none",
        help="overlays as video (.mp4, .mkv), picture (.png, .jpg) or folder of pictures "
        "(overlays:DIR); masks in colour (DIR or masks:DIR) or as class indices "
        "(masks-index:DIR); statistics (.jsonl), zones and alerts "
        "(zones:FILE.yaml), a window, a page (http), a network video (rtsp://, udp://), class maps "
        "for another process (socket:PATH), none; may be repeated",
    )
    parser.add_argument("--force", action="store_true", help="replace files of other programs")
    parser.add_argument(
        "--segment",
        type=duration,
        metavar="T",
        help="start a new video file after a time such as 10m",
    )
    parser.add_argument(
        "--keep",
        type=amount,
        metavar="SIZE",
        help="with --segment: remove the oldest files when all together exceed SIZE, such as 50GB",
    )
    parser.add_argument(
        "--http-host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address that the page listens on; default: %(default)s, this machine only",
    )
    parser.add_argument(
        "--http-port",
        type=port,
        default=8080,
        metavar="N",
        help="port of the page; default: %(default)s",
    )
    parser.add_argument(
        "--http-token", metavar="TEXT", help="token that visitors of the page must give"
    )
