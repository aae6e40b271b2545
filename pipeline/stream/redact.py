"""Addresses without their passwords, for logs and reports."""

from __future__ import annotations

import re

#: Parts of a path or query in which cheap cameras expect their password.
_SECRET = re.compile(r"(?i)((?:pass\w*|pwd|psw|secret|token|key|auth|user\w*|login)=)[^&_/;?#]*")


def without_password(url: str) -> str:
    """Return a URL without user and password, in any part of it."""
    scheme, rest = url.split("://", 1)
    before, mark, query = rest.partition("?")
    # Up to the last @, since a password may contain one, or a slash.
    shown = f"{scheme}://{before.rpartition('@')[2]}{mark}{query}"
    return _SECRET.sub(r"\1***", shown)
