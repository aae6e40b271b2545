"""Zones of a picture in which classes are measured, read from a YAML file.

::

    zones:
      - name: crossing
        polygon: [[0.3, 1.0], [0.45, 0.6], [0.55, 0.6], [0.7, 1.0]]
        classes: [Pedestrian, Bicyclist]
        above: 2%          # of the zone; or an area such as 1500px; or below: ...
        seconds: 1.5       # for which the threshold must be met
        source: drive.mp4  # name or number of one source; all without it
    size: 1280x720         # polygons are in pixels of such pictures; without it, from 0 to 1
    lines: outputs/zones.jsonl
    webhook: http://127.0.0.1:9000/alerts
    headers: {Authorization: Bearer ...}
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from models.bounded import read_text
from pipeline.errors import SinkError, reason_of

#: Limits: bytes of a file, zones in it, corners of a zone, characters of a name.
_MOST_BYTES = 1 << 18
_MOST_ZONES = 100
_MOST_CORNERS = 1000
_LONGEST_NAME = 100

_AREA = re.compile(r"(\d+(?:\.\d+)?) ?px")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
#: Name of a header: no colon, and no line break, which would begin another header.
_HEADER = re.compile(r"[!-9;-~]+")

_KEYS = ("zones", "size", "lines", "webhook", "headers")
_ZONE_KEYS = ("name", "polygon", "classes", "above", "below", "seconds", "source")


@dataclass(frozen=True)
class Threshold:
    """The limit to which the measured share or area is compared.

    Attributes:
        value: a share of the zone, 0..1, or an area in pixels of the camera's picture.
        is_area: whether ``value`` is an area.
        above: met by ``value`` and more; otherwise by ``value`` and less.
        text: as written in the file.
    """

    value: float
    is_area: bool
    above: bool
    text: str

    def is_met(self, share: float, area: float) -> bool:
        measured = area if self.is_area else share
        return measured >= self.value if self.above else measured <= self.value


@dataclass(frozen=True)
class Zone:
    """A polygon on the picture, and the classes measured in it.

    Attributes:
        name: for lines, messages and the picture.
        polygon: corners (x, y), 0..1 of the picture's width and height.
        classes: names, counted together.
        threshold: for alerts; None to measure only.
        seconds: for which the threshold must be met, or not met, before an alert begins or ends.
        source: name or number of its source; None for all.
    """

    name: str
    polygon: tuple[tuple[float, float], ...]
    classes: tuple[str, ...]
    threshold: Threshold | None = None
    seconds: float = 0.0
    source: str | None = None


@dataclass(frozen=True)
class ZoneFile:
    """The content of a file.

    Attributes:
        zones: at least one.
        lines: file for a line of JSON per frame; None for none.
        webhook: address to which alerts are posted; None for none.
        headers: of these requests.
    """

    zones: tuple[Zone, ...]
    lines: Path | None = None
    webhook: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def read_zones(path: Path) -> ZoneFile:
    """Read a file of zones.

    Raises:
        SinkError: it cannot be read, or a value in it is wrong.
    """
    import yaml

    try:
        document = yaml.safe_load(read_text(path, _MOST_BYTES))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise SinkError(
            f"{path} cannot be read ({reason_of(error)}); expected YAML with a list of zones"
        ) from error
    return _Reader(path).file(document)


class _Reader:
    """Checks the content of a file; every error names the file and the key."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def file(self, document: Any) -> ZoneFile:
        keys = self._mapping("the file", document, _KEYS)
        size = keys.get("size")
        scale = (1, 1) if size is None else self._size(size)
        zones = keys.get("zones")
        if not isinstance(zones, list) or not 1 <= len(zones) <= _MOST_ZONES:
            raise self._wrong("zones", zones, f"a list of 1 to {_MOST_ZONES} zones")
        read = tuple(self._zone(number, zone, scale) for number, zone in enumerate(zones, 1))
        names = [zone.name for zone in read]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise self._wrong("name", twice, "a name that no other zone has")
        return ZoneFile(
            read, self._lines(keys), self._webhook(keys), self._headers(keys.get("headers") or {})
        )

    def _zone(self, number: int, document: Any, scale: tuple[int, int]) -> Zone:
        place = f"zone {number}"
        keys = self._mapping(place, document, _ZONE_KEYS)
        name = str(keys.get("name", place))
        if not name.isprintable() or not 1 <= len(name) <= _LONGEST_NAME:
            raise self._wrong("name", name, f"1 to {_LONGEST_NAME} printable characters")
        classes = keys.get("classes")
        if not isinstance(classes, list) or not classes or not all(map(_is_word, classes)):
            raise self._wrong(f"classes of {name}", classes, "a list such as [Car, Pedestrian]")
        seconds = keys.get("seconds", 0)
        if not _is_number(seconds) or not 0 <= seconds <= 86_400:
            raise self._wrong(f"seconds of {name}", seconds, "a number from 0 to 86400")
        source = keys.get("source")
        return Zone(
            name,
            self._polygon(name, keys.get("polygon"), scale),
            tuple(map(str, classes)),
            self._threshold(name, keys),
            float(seconds),
            None if source is None else str(source),
        )

    def _polygon(
        self, name: str, corners: Any, scale: tuple[int, int]
    ) -> tuple[tuple[float, float], ...]:
        place = f"polygon of {name}"
        if not isinstance(corners, list) or not 3 <= len(corners) <= _MOST_CORNERS:
            raise self._wrong(place, corners, "three corners or more, each [x, y]")
        polygon = []
        for corner in corners:
            if not (isinstance(corner, list) and len(corner) == 2 and all(map(_is_number, corner))):
                raise self._wrong(place, corner, "corners [x, y]")
            x, y = corner[0] / scale[0], corner[1] / scale[1]
            if not (0 <= x <= 1 and 0 <= y <= 1):
                limit = "0 to 1, or pixels and their size: WxH" if scale == (1, 1) else "the size"
                raise self._wrong(place, corner, f"corners within the picture ({limit})")
            polygon.append((x, y))
        if _area(polygon) == 0:
            raise self._wrong(place, corners, "corners that enclose an area")
        return tuple(polygon)

    def _threshold(self, name: str, keys: Mapping[str, Any]) -> Threshold | None:
        given = [key for key in ("above", "below") if key in keys]
        if len(given) != 1:
            if given:
                raise self._wrong(f"below of {name}", keys["below"], "above or below, not both")
            return None
        text = str(keys[given[0]])
        area, percent = _AREA.fullmatch(text), _PERCENT.fullmatch(text)
        if area:
            return Threshold(float(area[1]), True, given[0] == "above", text)
        value = float(percent[1]) / 100 if percent else keys[given[0]]
        if not _is_number(value) or not 0 <= value <= 1:
            raise self._wrong(
                f"{given[0]} of {name}", text, "a share (2% or 0.02) or area (1500px)"
            )
        return Threshold(float(value), False, given[0] == "above", text)

    def _size(self, size: Any) -> tuple[int, int]:
        found = _SIZE.fullmatch(str(size))
        if found is None or not int(found[1]) or not int(found[2]):
            raise self._wrong("size", size, "one such as 1280x720")
        return int(found[1]), int(found[2])

    def _lines(self, keys: Mapping[str, Any]) -> Path | None:
        lines = keys.get("lines")
        if lines is None:
            return None
        path = Path(str(lines)).expanduser()
        if path.suffix.lower() != ".jsonl" or "\0" in str(lines):
            raise self._wrong("lines", lines, "a file name such as outputs/zones.jsonl")
        return path

    def _webhook(self, keys: Mapping[str, Any]) -> str | None:
        url = keys.get("webhook")
        if url is None:
            return None
        try:
            parts = urlsplit(str(url))
            good = parts.scheme in ("http", "https") and bool(parts.hostname)
            good = good and parts.port != 0 and parts.username is None
        except ValueError:
            good = False
        if not good or not str(url).isascii() or not str(url).isprintable() or " " in str(url):
            # The address is not shown, since those of chat services contain a secret.
            raise SinkError(
                f"{self._path}: webhook is not a valid address, expected one such as "
                "http://127.0.0.1:9000/alerts, with a user or password in headers"
            )
        return str(url)

    def _headers(self, headers: Any) -> dict[str, str]:
        found = self._mapping("headers", headers, None)
        for name, value in found.items():
            if not _HEADER.fullmatch(str(name)) or not str(value).isprintable():
                raise SinkError(f"{self._path}: header {name!r} is not valid; expected NAME: TEXT")
            if not str(value).isascii():
                raise SinkError(f"{self._path}: header {name!r} is not ASCII; encode it")
        return {str(name): str(value) for name, value in found.items()}

    def _mapping(self, place: str, document: Any, keys: Sequence[str] | None) -> dict[str, Any]:
        if not isinstance(document, dict):
            raise self._wrong(place, document, "lines 'key: value'")
        unknown = next((key for key in document if keys is not None and key not in keys), None)
        if unknown is not None:
            raise self._wrong(f"a key of {place}", unknown, f"one of {', '.join(keys or ())}")
        return document

    def _wrong(self, what: str, given: Any, expected: str) -> SinkError:
        return SinkError(f"{self._path}: {what} is {reprlib.repr(given)}, expected {expected}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _area(polygon: Sequence[tuple[float, float]]) -> float:
    """Area of a polygon by the shoelace formula."""
    pairs = zip(polygon, [*polygon[1:], polygon[0]], strict=True)
    return abs(sum(x * below - right * y for (x, y), (right, below) in pairs)) / 2
