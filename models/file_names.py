"""Names that come out of files and become names of files: checked in one place."""

from __future__ import annotations

import re

#: Longest name: file systems take 255 bytes, and suffixes are appended.
_LONGEST = 150
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", re.ASCII)


def is_plain_name(name: object) -> bool:
    """Whether a name from a file may become that of a file: one that lies beside it.

    A file may come from anybody. A name in it with a folder, such as ``../x`` or ``/etc/passwd``,
    would have us read or write elsewhere. So there are letters, digits, ``.``, ``_`` and ``-``, and
    no dot at the beginning. Names of classes and layers are free, and never part of a path.
    """
    return isinstance(name, str) and len(name) <= _LONGEST and bool(_PLAIN.fullmatch(name))


#: What :func:`is_plain_name` asks for, for the errors of those who ask.
PLAIN_NAME = (
    f"letters, digits, '.', '_' and '-', no dot at the beginning and at most {_LONGEST} characters"
)
