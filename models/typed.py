"""Conversion of parsed files to typed objects; whatever does not fit is a ``ValueError``."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def parse_json(content: str | bytes) -> Any:
    """Parse JSON, as plain values.

    Raises:
        ValueError: no JSON, no UTF-8, or nested too deeply.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def convert(document: object, kind: type[T]) -> T:
    """Make an object from plain values, and check each field by its annotation.

    Args:
        document: of lists, dicts, numbers and text.
        kind: a dataclass, or any other type that annotations name.

    Raises:
        ValueError: a field is missing or of another type; it is named.
    """
    import msgspec  # only where a file is read

    try:
        return msgspec.convert(document, type=kind, dec_hook=_as_it_is)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (msgspec.ValidationError, OverflowError) as error:
        raise ValueError(str(error)) from None


def convert_all(document: Mapping[str, object], kind: type[T], ignored: Collection[str]) -> T:
    """Make a dataclass as :func:`convert` does, and refuse unknown fields.

    Args:
        document: the fields.
        kind: the dataclass.
        ignored: keys of the document that are not fields of the dataclass.

    Raises:
        ValueError: a field is unknown, missing or of another type; it is named.
    """
    given = {key: value for key, value in document.items() if key not in ignored}
    strange = sorted(given.keys() - {field.name for field in fields(kind)})  # type: ignore[arg-type]
    if strange:
        raise ValueError(f"no field is called {strange[0][:60]!r}")
    return convert(given, kind)


def _as_it_is(kind: type, value: object) -> object:
    """Accept a value that has the right type already, such as a tensor."""
    if not isinstance(value, kind):
        raise ValueError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")
    return value
