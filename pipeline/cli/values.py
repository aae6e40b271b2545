"""How values of the command line are read, and arguments that several commands share."""

from __future__ import annotations

import argparse
import math
import os
import re
from pathlib import Path
from typing import TypeAlias

from pipeline.graph.frame_sizes import FRAME_SIZES, MOST_FRAMES, Sizes

#: What commands are added to; argparse has no public name for it.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_BYTES = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)", re.ASCII)
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.ASCII)

#: Largest number of frames, steps or seconds: counters have 32 bits.
_MOST = 2**31 - 1
_MOST_BYTES = 10**18
_LONGEST_SIDE = 100_000
#: Bytes of a path and of a name in it, on every file system of Linux.
_LONGEST_PATH, _LONGEST_NAME = 4095, 255


def _whole(text: str) -> int | None:
    """Return a whole number from 0 to ``_MOST``; else None."""
    digits = text.isdecimal() and len(text) <= len(str(_MOST))
    return int(text) if digits and int(text) <= _MOST else None


def wrong_path(value: object) -> str | None:
    """Say why a path cannot exist; None if it can."""
    raw = os.fsencode(value) if isinstance(value, Path) else b""
    if b"\0" in raw or len(raw) > _LONGEST_PATH or max(map(len, raw.split(b"/"))) > _LONGEST_NAME:
        return (
            f"a path of {len(raw)} bytes, expected at most {_LONGEST_PATH}, {_LONGEST_NAME} for "
            "each name in it, and no zero byte"
        )
    return None


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the argument ENGINE."""
    parser.add_argument("engine", type=Path, metavar="ENGINE", help="engine file or its manifest")


def add_hint(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--hint``."""
    parser.add_argument(
        "--hint",
        choices=("latency", "throughput"),
        default="latency",
        help="throughput processes several frames at once: more frames per second, each of them "
        "later; keep latency, the default, for cameras",
    )


def size(text: str) -> tuple[int, int]:
    """Read ``WIDTHxHEIGHT``."""
    try:
        width, height = (int(side) for side in text.lower().split("x"))
        if max(abs(width), abs(height)) > _LONGEST_SIDE:
            raise ValueError(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size, expected WIDTHxHEIGHT such as 480x360"
        ) from None
    return width, height


def colour(text: str) -> tuple[float, float, float]:
    """Read three numbers, one per channel; one number stands for all three."""
    try:
        values = [float(part) for part in text.split(",")]
        first, second, third = values * 3 if len(values) == 1 else values
        if not all(map(math.isfinite, values)):
            raise ValueError(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no colour, expected three grey levels such as 123.7,116.3,103.5"
        ) from None
    return first, second, third


def sizes(text: str) -> Sizes:
    """Read three sizes of frames, each as large as the one before or larger."""
    given = [size(part) for part in text.split(":")]
    if len(given) == 1:
        given *= 3
    low, high = FRAME_SIZES
    sides = list(zip(*given, strict=True))
    if len(given) != 3 or any(list(s) != sorted(s) or s[0] < low or s[-1] > high for s in sides):
        raise argparse.ArgumentTypeError(
            f"{text!r} are no frame sizes, expected SMALLEST:USUAL:LARGEST such as "
            f"640x480:1280x720:1920x1080, growing, sides from {low} to {high}"
        )
    return given[0], given[1], given[2]


def layers(text: str) -> tuple[str, ...]:
    """Read names with commas between them, as they are written; there may be none."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def names(text: str) -> tuple[str, ...]:
    """Read names with commas between them, in small letters; there may be none."""
    return layers(text.lower())


def engine_name(text: str) -> str:
    """Read a name for files."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name for an engine, expected letters, digits, - and _"
        )
    return text


def listed(text: str) -> tuple[str, ...]:
    """Read at least one name, with commas between them, as they are written."""
    found = layers(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} names nothing, expected such as Car,Pedestrian")
    return found


def points(text: str) -> float:
    """Read percentage points as a share."""
    return _up_to(100, text, "number of percentage points, 0 to 100") / 100


def share(text: str) -> float:
    """Read a number from 0 to 1."""
    return _up_to(1, text, "share, expected a number from 0 to 1")


def rate(text: str) -> float:
    """Read a learning rate: above 0, at most 1."""
    return _up_to(1, text, "learning rate, expected a number above 0 such as 3e-4", zero=False)


def _up_to(most: float, text: str, meaning: str, zero: bool = True) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most or (value == 0 and not zero):
        raise argparse.ArgumentTypeError(f"{text!r} is no {meaning}")
    return value


def positive(text: str) -> int:
    """Read a whole number from 1."""
    number = _whole(text)
    if number is None or number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number up to {_MOST}")
    return number


def batch(text: str) -> tuple[int, int, int]:
    """Read ``FEWEST:USUAL:MOST`` or one number of frames."""
    numbers = [int(part) if part.isdecimal() else 0 for part in text.split(":")]
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or not 1 <= numbers[0] <= numbers[1] <= numbers[2] <= MOST_FRAMES:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no batch, expected FEWEST:USUAL:MOST such as 1:4:8, in growing order, "
            f"1 to {MOST_FRAMES}"
        )
    return numbers[0], numbers[1], numbers[2]


def frames_per_second(text: str) -> float:
    """Read a rate of frames: above 0, at most a million."""
    return _up_to(1e6, text, "rate, expected frames per second above 0 such as 30", zero=False)


def count(text: str) -> int:
    """Read a whole number from 0."""
    number = _whole(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 to {_MOST}")
    return number


def port(text: str) -> int:
    """Read a TCP port; 0 lets the system choose."""
    number = _whole(text)
    if number is None or not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port, expected 0 to 65535")
    return number


def duration(text: str) -> float:
    """Read ``30``, ``30s``, ``10m`` or ``1h`` as seconds."""
    found = _DURATION.fullmatch(text.strip().lower())
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not 0 < seconds <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no time, expected such as 30s, 10m or 1h")
    return seconds


def amount(text: str) -> int:
    """Read ``500MB`` or ``50GB`` (powers of ten) as bytes."""
    found = _AMOUNT.fullmatch(text.strip().lower())
    total = float(found[1]) * _BYTES[found[2]] if found else 0.0
    if not 1 <= total <= _MOST_BYTES:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount, expected such as 500MB or 50GB")
    return int(total)


def fourcc(text: str) -> str:
    """Read the four letters of a picture format, such as ``MJPG``."""
    if len(text) != 4 or not text.isascii():
        raise argparse.ArgumentTypeError(
            f"{text!r} is no format of a camera, expected four letters such as MJPG or YUYV"
        )
    return text.upper()
