"""The token of the page, and the cookie that stands for it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs

#: Makes a cookie slow to compute, so that a stolen one does not help to guess the token.
_SCRYPT = {"n": 2**14, "r": 8, "p": 1}


class Credentials:
    """Checks the token, or the cookie that replaces it."""

    def __init__(self, token: str) -> None:
        self._token = token
        # Derived from the token: it stays valid after a restart, and does not reveal the token.
        salt = b"cookie of the page"
        self._cookie = hashlib.scrypt(token.encode(), salt=salt, dklen=32, **_SCRYPT).hex()

    def are_right(self, offered: str | None, headers: Mapping[str, str], port: int) -> bool:
        """Whether the offered token, or a cookie in ``headers`` (lower-case names), is right."""
        right = offered is not None and _equal(offered, self._token)
        return right or any(_equal(one, self._cookie) for one in _cookies(headers, _name(port)))

    def cookie(self, port: int) -> str:
        """Return the ``Set-Cookie`` value with which a browser later needs no token."""
        # Lax, not Strict: otherwise a link with the token in a message would not work.
        return f"{_name(port)}={self._cookie}; Path=/; HttpOnly; SameSite=Lax"


def token_in(query: bytes, headers: Mapping[str, str]) -> str | None:
    """Return the token of a request; None if it has none."""
    kind, _, bearer = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return bearer.strip()
    fields = parse_qs(query.decode("latin-1"))
    return fields["token"][0] if "token" in fields else None


def _name(port: int) -> str:
    # Browsers share cookies between the ports of a host.
    return f"roadseg_{port}"


def _cookies(headers: Mapping[str, str], name: str) -> Iterator[str]:
    """Yield the values of one name; other services of the host may have set other cookies."""
    for pair in headers.get("cookie", "").split(";"):
        found, separator, text = pair.partition("=")
        if separator and found.strip() == name:
            yield text.strip().strip('"')


def _equal(given: str, expected: str) -> bool:
    """Compare in a time that does not depend on how much is right."""
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())
