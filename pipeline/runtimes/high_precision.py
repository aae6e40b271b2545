"""``--high-precision``: convolutions that a user keeps out of INT8, by name."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from pipeline.errors import BuildError

#: Why a convolution that the user named stays in floating point.
ASKED = "asked for with --high-precision"


def named_layers(asked: Collection[str], known: Collection[str]) -> tuple[str, ...]:
    """Return the convolutions that ``asked`` names, by their whole names or their blocks' names.

    Raises:
        BuildError: a name is neither a convolution of ``known`` nor a block with one.
    """
    if asked and not known:
        raise BuildError(
            f"--high-precision {','.join(asked)} was given, but no convolution runs in INT8; build "
            "without that option"
        )
    found: dict[str, None] = {}
    for name in asked:
        matches = [layer for layer in known if layer == name or layer.startswith(f"{name}.")]
        if not matches:
            close = get_close_matches(name, known, 3, 0.3) or list(known)[:3]
            raise BuildError(
                f"--high-precision {name} was given, and the network has no such convolution; "
                f"expected a name or the beginning of one, such as {', '.join(close)}"
            )
        found |= dict.fromkeys(matches)
    return tuple(found)
