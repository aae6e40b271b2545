"""Documents out of files as typed objects: whatever does not fit is one ``ValueError``."""

from __future__ import annotations

import json
from typing import Any, TypeVar

T = TypeVar("T")


def parse_json(content: str | bytes) -> Any:
    """Parse JSON, as plain values.

    Raises:
        ValueError: no JSON, no UTF-8, or lists in lists deeper than the interpreter follows.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def convert(document: object, kind: type[T]) -> T:
    """Make an object of annotated fields from plain values, and check each by its annotation.

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


def _as_it_is(kind: type, value: object) -> object:
    """Take what is of its type already, such as a tensor."""
    if not isinstance(value, kind):
        raise ValueError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")
    return value
