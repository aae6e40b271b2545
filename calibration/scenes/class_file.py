"""Class sets from a text file: one line per output channel, ``NAME [R,G,B]``.

::

    # label values are counted from 0, line by line
    road         128,64,128
    traffic sign 192,128,128
    car
    void

A name may have spaces. Without a colour a class gets one of its own. A line named ``void`` is a
label value, and a channel, that is never scored; without such a line void is 255. Empty lines and
lines that start with ``#`` are passed over.
"""

from __future__ import annotations

import re
from pathlib import Path

from calibration.errors import DataError
from models.bounded import read_text
from models.classes import RGB, ClassSet

VOID = "void"

#: Class maps and labels are bytes, and 255 stays free for void.
_MOST_CLASSES = 255

#: A name is drawn into legends and stands in every manifest; 255 lines of these fit into the file.
_LONGEST_LINE = 200
_MOST_BYTES = 1 << 18

_LINE = re.compile(r"(?P<name>.*?)(?:\s+\[?(?P<colour>\d+\s*,\s*\d+\s*,\s*\d+)\]?)?")


def read_classes(path: Path | str) -> ClassSet:
    """Read a class file.

    Raises:
        DataError: a file that cannot be read, has fewer than two classes or more than 255, a name
            twice or one of more than 200 characters, or a colour that is none.
    """
    path = Path(path)
    try:
        text = read_text(path, _MOST_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"class file {path} cannot be read ({error}); expected UTF-8 text with a line "
            "'NAME [R,G,B]' per class; check --classes"
        ) from error
    names: list[str] = []
    colours: list[RGB] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if len(line.strip()) > _LONGEST_LINE:
            raise DataError(
                f"{path}, line {number}: {len(line.strip())} characters, expected 'NAME [R,G,B]' "
                f"of at most {_LONGEST_LINE}; shorten the name"
            )
        name, colour = _parse(line.strip(), len(names), f"{path}, line {number}")
        if name in names:
            raise DataError(
                f"{path}, line {number}: the class {name!r} was named before, expected each name "
                "once; rename or remove one"
            )
        names.append(name)
        colours.append(colour)
    scored = len(names) - names.count(VOID)
    if scored < 2 or len(names) > _MOST_CLASSES:
        raise DataError(
            f"class file {path} names {scored} classes beside void, expected 2 to {_MOST_CLASSES}; "
            "give a line 'NAME [R,G,B]' per class"
        )
    void = names.index(VOID) if VOID in names else 255
    return ClassSet(tuple(names), tuple(colours), void)


def _parse(line: str, index: int, place: str) -> tuple[str, RGB]:
    match = _LINE.fullmatch(line)
    assert match is not None  # the name alone matches any line
    name, colour = match["name"], match["colour"]
    if name.lower() == VOID:
        name = VOID
    if colour is None:
        return name, (0, 0, 0) if name == VOID else _colour(index)
    red, green, blue = (int(part) for part in colour.split(","))
    if max(red, green, blue) > 255:
        raise DataError(
            f"{place}: the colour {colour} has a part above 255, expected R,G,B from 0 to 255"
        )
    return name, (red, green, blue)


def _colour(index: int) -> RGB:
    """Return a colour far from its neighbours': the palette of PASCAL VOC, without its black."""
    red = green = blue = 0
    rest = index + 1
    for bit in range(7, -1, -1):
        red |= (rest & 1) << bit
        green |= (rest >> 1 & 1) << bit
        blue |= (rest >> 2 & 1) << bit
        rest >>= 3
    return red, green, blue
