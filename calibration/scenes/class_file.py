"""Class sets from a text file: one line per output channel, ``NAME [R,G,B]``.

::

    # label values are counted from 0, line by line
    road         128,64,128
    traffic sign 192,128,128
    car
    void

A name may have spaces. A class without a colour gets one. A line named ``void`` is a label value
and a channel that is never scored; without such a line void is 255. Empty lines and lines that
start with ``#`` are skipped.

Files of other tools are read too: ``R G B NAME`` (CamVid's ``label_colors.txt``), ``NAME R G B``,
CSV with or without a heading, ``NAME:R,G,B::`` (CVAT), ``#RRGGBB``, and a number before each name
where they count from 0. Any other line is refused with its number: read as a name, it would shift
all classes after it.
"""

from __future__ import annotations

import re
from pathlib import Path

from calibration.errors import DataError
from models.bounded import read_bytes
from models.classes import BUILT_IN, RGB, ClassSet, voc_colour

VOID = "void"

#: Class maps and labels are bytes, and 255 stays free for void.
_MOST_CLASSES = 255

#: Names appear in legends and manifests; 255 lines of this length fit into the file.
_LONGEST_LINE = 200
_MOST_BYTES = 1 << 18

_NUMBER = r"\d{1,3}(?:\.0*)?"
_GAP = r"(?:\s*[,;]\s*|\s+)"
_COLOUR = rf"\[?\(?\s*({_NUMBER}){_GAP}({_NUMBER}){_GAP}({_NUMBER})\s*\)?\]?"
_HEX = r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})"
_AFTER = re.compile(rf"(?P<name>.*?)(?:{_GAP}|\s*:\s*)(?:{_COLOUR}|{_HEX})(?:\s*:[^:]*){{0,2}}")
_BEFORE = re.compile(rf"(?:{_COLOUR}|{_HEX}){_GAP}(?P<name>.*)")
_COUNTED = re.compile(r"(?P<index>\d+)\s*[:,;.)\t ]\s*(?P<rest>.*)")
#: Two or more numbers are neither a name nor a colour.
_NUMBERS = re.compile(r"(?:^|\s)\d+\s+\d+(?:\s|$)|^\d+\s")
_FOUR = re.compile(r"(?:\s\d+){4}\s*$")
#: Letters, digits and punctuation of names; at least one letter.
_NAME = re.compile(r"(?=.*[^\W\d_])[\w](?:[\w \-./&()'+*]*[\w.)'+*])?")
_HEADING = frozenset(
    {"name", "names", "class", "classes", "class_name", "label", "labels", "id", "index", "value"}
    | {"r", "g", "b", "red", "green", "blue", "color", "colour", "rgb", "class name", "label name"}
)


def read_classes(path: Path | str) -> ClassSet:
    """Read a class file.

    Args:
        path: of the file, or the name of a class set of :data:`models.classes.BUILT_IN`.

    Raises:
        DataError: a file that cannot be read, has fewer than two classes or more than 255, a name
            twice, a colour that is none, or a line of no known form.
    """
    path = Path(path)
    if str(path) in BUILT_IN and not path.exists():
        return BUILT_IN[str(path)]
    names: list[str] = []
    colours: list[RGB] = []
    lines = _lines(path)
    counted = (
        len(lines) > 1
        and all(_COUNTED.fullmatch(line) for _, line in lines)
        and not any(_BEFORE.fullmatch(line) for _, line in lines)
    )
    for number, line in lines:
        place = f"{path}, line {number}"
        name, colour = _parse(_uncounted(line, len(names), place) if counted else line, place)
        if colour is None:
            # VOC's palette without its first colour, black, which is void's.
            colour = (0, 0, 0) if name == VOID else voc_colour(len(names) + 1)
        if name in names:
            raise DataError(
                f"{place}: the class {name!r} was named before, expected each name "
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


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines and their numbers, without empty lines, comments and a heading."""
    try:
        content = read_bytes(path, _MOST_BYTES)
        wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))  # Notepad's "Unicode"
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"class file {path} cannot be read ({error}); expected UTF-8 text with a line "
            f"'NAME [R,G,B]' per class, or one of {', '.join(BUILT_IN)}; check --classes"
        ) from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    for number, line in lines:  # before the patterns, which are slow on long lines
        if len(line) > _LONGEST_LINE:
            raise DataError(
                f"{path}, line {number}: {len(line)} characters, expected 'NAME [R,G,B]' of at "
                f"most {_LONGEST_LINE}; shorten the name"
            )
    hexadecimal = re.compile(rf"{_HEX}{_GAP}.*")
    kept = [
        (number, line)
        for number, line in lines
        if line and (not line.startswith("#") or hexadecimal.fullmatch(line))
    ]
    if kept:
        cells = [cell.strip(" \"'").lower() for cell in re.split(r"[,;\t]", kept[0][1])]
        if len(cells) > 1 and _HEADING.issuperset(cells):
            kept = kept[1:]
    return kept


def _uncounted(line: str, index: int, place: str) -> str:
    """Remove the number before a name."""
    match = _COUNTED.fullmatch(line)
    assert match is not None
    if int(match["index"]) != index:
        raise DataError(
            f"{place}: {line!r} has the number {match['index']}, expected {index}: label values "
            "are counted from 0, line by line; give a line for each value, in order"
        )
    return match["rest"]


def _parse(line: str, place: str) -> tuple[str, RGB | None]:
    name, colour = line, None
    for form in (_BEFORE, _AFTER):
        match = form.fullmatch(line)
        if match is not None:
            name = match["name"]
            tens, hexes = match.groups()[_first(form) :][:3], match.groups()[_first(form) + 3 :][:3]
            parts = [int(float(part)) for part in tens if part] or [int(part, 16) for part in hexes]
            colour = (parts[0], parts[1], parts[2])
            break
    if colour is not None and max(colour) > 255:
        raise DataError(
            f"{place}: the colour {','.join(map(str, colour))} has a part above 255, expected "
            "R,G,B from 0 to 255"
        )
    name = name.strip().rstrip(",;").strip()
    if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        name = name[1:-1].strip()
    if not _NAME.fullmatch(name) or _NUMBERS.search(name) or _FOUR.search(line):
        raise DataError(
            f"{place}: {line!r} is no class, expected NAME, or NAME R,G,B; one line per class in "
            "the order of the label values, '#' before a comment, and no other line"
        )
    return (VOID if name.lower() == VOID else name), colour


def _first(form: re.Pattern[str]) -> int:
    """Return where the groups of the colour begin: the name is a group too."""
    return 1 if form.groupindex["name"] == 1 else 0
