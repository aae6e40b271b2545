"""How a visitor shows that the page is open to them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs

#: Cost of a cookie per token: whoever guesses tokens by their cookies gains nothing by it.
_SCRYPT = {"n": 2**14, "r": 8, "p": 1}


class Credentials:
    """The token, as ``?token=``, ``Authorization: Bearer``, or the cookie that stands for it.

    Args:
        token: that a visitor has to know.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        # Derived from the token: it survives a restart, and does not give the token away.
        salt = b"cookie of the page"
        self._cookie = hashlib.scrypt(token.encode(), salt=salt, dklen=32, **_SCRYPT).hex()

    def are_right(self, offered: str | None, headers: Mapping[str, str], port: int) -> bool:
        """Whether the token or one of the cookies is right.

        Args:
            offered: token of a request.
            headers: of the request, names in lower case.
            port: of the server.
        """
        right = offered is not None and _equal(offered, self._token)
        return right or any(_equal(one, self._cookie) for one in _cookies(headers, _name(port)))

    def cookie(self, port: int) -> str:
        """Return the header that lets a browser in later without the token in its address."""
        # Lax, not Strict: else the link with the token, opened from a message, would not work.
        return f"{_name(port)}={self._cookie}; Path=/; HttpOnly; SameSite=Lax"


def token_in(query: bytes, headers: Mapping[str, str]) -> str | None:
    """Return the token that a request offers, None where it offers none."""
    kind, _, bearer = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return bearer.strip()
    fields = parse_qs(query.decode("latin-1"))
    return fields["token"][0] if "token" in fields else None


def _name(port: int) -> str:
    # Browsers share cookies between the ports of a host.
    return f"roadseg_{port}"


def _cookies(headers: Mapping[str, str], name: str) -> Iterator[str]:
    """Yield the values of one name; whatever else the host's other services have set is skipped."""
    for pair in headers.get("cookie", "").split(";"):
        found, separator, text = pair.partition("=")
        if separator and found.strip() == name:
            yield text.strip().strip('"')


def _equal(given: str, expected: str) -> bool:
    """Compare in a time that says nothing about how much of it is right."""
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())
