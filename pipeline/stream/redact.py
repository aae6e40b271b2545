"""Addresses without their passwords, for logs and reports."""

from __future__ import annotations

import re

#: Parts of a path or a query that cheap cameras take their password from.
_SECRET = re.compile(r"(?i)((?:pass\w*|pwd|psw|secret|token|key|auth|user\w*|login)=)[^&_/;?#]*")


def without_password(url: str) -> str:
    """URL as it may be shown: no user, no password, wherever in it they stand."""
    scheme, rest = url.split("://", 1)
    before, mark, query = rest.partition("?")
    # From the last @: a password may hold one itself, or a slash.
    shown = f"{scheme}://{before.rpartition('@')[2]}{mark}{query}"
    return _SECRET.sub(r"\1***", shown)
