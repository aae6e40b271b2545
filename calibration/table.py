"""The calibration table: ranges of all INT8 sites, and what they were measured on.

A table is one JSON file that can be read and committed. Its ranges are valid for one network with
one set of weights, one graph and one preprocessing; ``CalibrationTable.check`` compares these
before a table is used, since INT8 with other ranges is wrong without an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import product
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from calibration.errors import CalibrationError
from calibration.records import Dtype, Fingerprint, Measured, PerMethod
from models.atomic import atomic_path
from models.bounded import read_bytes
from models.typed import convert_all, parse_json

#: Incremented when a key changes its meaning; tables of another format are refused.
FORMAT_VERSION = 1

_KIND = "roadseg-calibration"

#: Significant digits of every number; more would only make the file larger.
_DIGITS = 6

#: Digits of a hash, which errors shorten.
_SHA256 = 64

#: Most bytes of a table, ten times that of the largest network.
_MOST_BYTES = 64 << 20

#: Most characters of a reason in an error; it may hold a name of any length.
_LONGEST_REASON = 200

_REMEDY = "calibrate again with --calibration DIR|VIDEO"

#: What must agree, and what to do if it does not. Causes come first: another size changes the graph
#: too, and the user knows the size.
_COMPARED: Mapping[str, str] = {
    "model": "use the table of this network",
    "preprocessing": "build with the preprocessing of the table",
    "weights": "use the table of these weights",
    "graph": "the network's code or its export has changed",
}

_DTYPES: tuple[Dtype, ...] = ("int8", "uint8")


@dataclass(frozen=True)
class Site:
    """One quantised tensor, as it was on the calibration frames.

    Attributes:
        minimum, maximum: smallest and largest value.
        thresholds: method -> ``int8`` and ``uint8`` -> largest magnitude represented.
        clipped: the same keys -> share of larger values, 0 to 1.
    """

    minimum: float
    maximum: float
    thresholds: PerMethod
    clipped: PerMethod

    def __post_init__(self) -> None:
        for name in ("minimum", "maximum", "thresholds", "clipped"):
            object.__setattr__(self, name, _plain(getattr(self, name)))


@dataclass(frozen=True)
class CalibrationTable:
    """Ranges and choices of one network.

    Numbers are rounded to six digits when it is made, so that a table just measured and the same
    one read from its file build the same engine.

    Attributes:
        model: registry name of the network.
        fingerprint: what it was measured on and is valid for.
        sites: by name.
        method: chosen for the network; None before the choice.
        high_precision: layers that stay in floating point.
        measured: measurements behind these choices.
    """

    model: str
    fingerprint: Fingerprint
    sites: Mapping[str, Site]
    method: str | None = None
    high_precision: tuple[str, ...] = ()
    measured: Measured = field(default_factory=Measured)

    def __post_init__(self) -> None:
        for name in ("fingerprint", "measured"):
            object.__setattr__(self, name, _plain(getattr(self, name)))
        object.__setattr__(self, "sites", dict(self.sites))

    def threshold_of(self, site: str, dtype: Dtype) -> float:
        """Return the largest magnitude that the chosen method represents at a site.

        Raises:
            CalibrationError: a site that was not calibrated, no method chosen, or ``uint8`` for a
                site with negative values.
        """
        found = self.sites.get(site)
        if found is None:
            raise CalibrationError(
                f"the calibration table of {self.model} has no site {site!r} among its "
                f"{len(self.sites)}; it is of another graph, {_REMEDY}"
            )
        if dtype == "uint8" and found.minimum < 0:
            raise CalibrationError(
                f"site {site} of {self.model} has values down to {found.minimum:g}, expected none "
                "below 0 for uint8; quantise it as int8"
            )
        if self.method is None:
            raise CalibrationError(
                f"the calibration table of {self.model} names no method for site {site}, expected "
                f"one of {', '.join(found.thresholds)}; it was never finished, {_REMEDY}"
            )
        return found.thresholds[self.method][dtype]

    def check(self, model: str, expected: Fingerprint) -> None:
        """Compare with a network that is to be built; fields missing in ``expected`` may be any.

        Raises:
            CalibrationError: they differ; names the first field, preprocessing before hashes.
        """
        recorded = {**self.fingerprint, "model": self.model}
        wanted = _plain({**expected, "model": model})
        for key in (key for key in _COMPARED if key in wanted):
            difference = _first_difference(key, recorded.get(key), wanted[key])
            if difference:
                where, ours, theirs = difference
                raise CalibrationError(
                    f"calibration table of {self.model}: {where} is {_short(ours)}, this build has "
                    f"{_short(theirs)}; {self._remedy(where)} or {_REMEDY}"
                )

    def _remedy(self, where: str) -> str:
        if where in {"preprocessing.width", "preprocessing.height"}:
            given = self.fingerprint["preprocessing"]
            return f"build with --size {given.get('width')}x{given.get('height')}"
        return _COMPARED[where.partition(".")[0]]

    def to_json(self) -> dict[str, Any]:
        """Return the table as plain JSON values."""
        return {"kind": _KIND, "format_version": FORMAT_VERSION, **asdict(self)}

    def save(self, path: Path) -> None:
        """Write the table atomically, with sorted keys and one line per site for readable diffs."""
        document = self.to_json()
        sites = _lines(document.pop("sites"), indent=2)
        lines = f'{_lines(document, indent=1)},\n "sites": {{\n{sites}\n }}'
        with atomic_path(path) as temporary:
            temporary.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def load_table(path: Path) -> CalibrationTable:
    """Read and check a table.

    Raises:
        CalibrationError: missing, damaged, something else, or of another format.
    """
    try:
        document = parse_json(read_bytes(path, _MOST_BYTES))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CalibrationError(
            f"calibration table {path} cannot be read ({reason}); expected JSON that a build "
            f"wrote, {_REMEDY}"
        ) from error
    if not isinstance(document, dict) or document.get("kind") != _KIND:
        raise CalibrationError(
            f"{path} is no calibration table, expected an object of kind {_KIND!r}; give the table "
            "that a build wrote, a folder of pictures or a video"
        )
    if document.get("format_version") != FORMAT_VERSION:
        raise CalibrationError(
            f"calibration table {path} has format {document.get('format_version')}, expected "
            f"{FORMAT_VERSION}; {_REMEDY}"
        )
    try:
        # Older tables have a field for a method per tensor, which was never used.
        if document.get("methods"):
            raise ValueError("a tensor has a method of its own")
        table = convert_all(
            document, CalibrationTable, ignored=("kind", "format_version", "methods")
        )
        _check(table)
    except ValueError as error:
        raise CalibrationError(
            f"calibration table {path} misses or misstates a field "
            f"({str(error)[:_LONGEST_REASON]}); it is damaged, {_REMEDY}"
        ) from error
    return table


def _check(table: CalibrationTable) -> None:
    """Raise ValueError if a table holds impossible values."""
    for name, site in table.sites.items():
        if not (math.isfinite(site.maximum - site.minimum) and site.minimum <= site.maximum):
            raise ValueError(f"site {name} reaches from {site.minimum:g} to {site.maximum:g}")
        if site.thresholds.keys() != site.clipped.keys():
            raise ValueError(f"site {name} has thresholds and clipped shares of other methods")
        for method, dtype in product(site.thresholds, _DTYPES):
            reach, share = site.thresholds[method][dtype], site.clipped[method][dtype]
            if not (0 < reach < math.inf and 0 <= share <= 1):
                raise ValueError(
                    f"site {name}, {method}, {dtype}: threshold {reach}, clips {share}"
                )
        if table.method is not None and table.method not in site.thresholds:
            raise ValueError(f"site {name} has no threshold of method {table.method}")


def _plain(value: Any) -> Any:
    """Convert a value to what JSON reads back, with rounded numbers."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):  # numpy's numbers too
        return float(f"{float(value):.{_DIGITS}g}")
    raise TypeError(f"a {type(value).__name__} has no place in a table")


def _first_difference(where: str, ours: Any, theirs: Any) -> tuple[str, Any, Any] | None:
    """Return the first place where two values differ, inside mappings too, and both values."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in (*theirs, *(key for key in ours if key not in theirs)):
            found = _first_difference(f"{where}.{key}", ours.get(key), theirs.get(key))
            if found:
                return found
        return None
    return None if ours == theirs else (where, ours, theirs)


def _short(value: Any) -> str:
    if value is None:
        return "not recorded"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{text[:12]}..." if len(text) == _SHA256 else text


def _lines(values: Mapping[str, Any], indent: int) -> str:
    """Return a JSON object's entries, one a line, sorted by key, without its braces."""
    entries = (
        f"{' ' * indent}{json.dumps(key)}: "
        f"{json.dumps(values[key], sort_keys=True, separators=(',', ':'), allow_nan=False)}"
        for key in sorted(values)
    )
    return ",\n".join(entries)
