"""Check of names from inside files that are used as file names."""

from __future__ import annotations

import re

#: Longest name: file systems take 255 bytes, and suffixes are appended.
_LONGEST = 150
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", re.ASCII)


def is_plain_name(name: object) -> bool:
    """Whether a name from inside a file is safe as the name of another file beside it.

    Files may come from anywhere, and a name such as ``../x`` or ``/etc/passwd`` would make us read
    or write elsewhere. Names of classes and layers need no check, since they are never part of a
    path.
    """
    return isinstance(name, str) and len(name) <= _LONGEST and bool(_PLAIN.fullmatch(name))


#: What :func:`is_plain_name` accepts, for error messages.
PLAIN_NAME = (
    f"letters, digits, '.', '_' and '-', no dot at the beginning and at most {_LONGEST} characters"
)
