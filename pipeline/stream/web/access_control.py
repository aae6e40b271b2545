"""What stands before every route: whose requests are answered, how many, and with which headers."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pipeline.stream.web.options import Limits, is_loopback

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Nothing from elsewhere is loaded, nobody frames the page, nothing of it is kept.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_HEADERS = [(name.lower().encode(), text.encode()) for name, text in HEADERS.items()]

#: Wrong tokens per second from one address, over a longer time, and at once.
_GUESSES, _GUESSES_AT_ONCE = 0.2, 10
#: Addresses whose requests are remembered.
_ADDRESSES = 1024
_LONGEST_QUERY, _MOST_FIELDS = 1024, 16


class RateLimit:
    """Requests per address: ``burst`` at once, ``rate`` per second over a longer time."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def left(self, address: str) -> float:
        """Requests that an address may still make just now."""
        left, moment = self._known.get(address, (float(self._burst), 0.0))
        return min(self._burst, left + (time.monotonic() - moment) * self._rate)

    def spend(self, address: str) -> bool:
        """Count a request; False when there are too many."""
        left = self.left(address)
        if left < 1:
            return False
        self._known[address] = (left - 1, time.monotonic())
        self._known.move_to_end(address)
        if len(self._known) > _ADDRESSES:
            self._known.popitem(last=False)
        return True


class AccessControl:
    """Refuses what does not come from a person who may look, then adds headers to the answer.

    - On a private page the name in ``Host`` must mean this machine: a page of the web whose name
      was pointed at 127.0.0.1 (DNS rebinding) says its own.
    - Pages of other origins get nothing: by ``Origin`` for WebSockets, by ``Sec-Fetch-Site`` else.
    - The token comes as ``?token=``, as ``Authorization: Bearer``, or as the cookie that the page
      itself gives for it.

    Args:
        app: what answers the rest.
        private: only names of this machine are right.
        token: that a visitor has to know; None for none.
        limits: of requests.
    """

    def __init__(self, app: App, private: bool, token: str | None, limits: Limits) -> None:
        self._app = app
        self._private = private
        self._token = token
        self._requests = RateLimit(limits.requests, limits.burst)
        self._guesses = RateLimit(_GUESSES, _GUESSES_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            return
        headers = _headers_of(scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(scope, refusal, send)
            return
        cookie = self._cookie_to_give(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS, *cookie]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        address = scope["client"][0] if scope.get("client") else ""
        if not self._requests.spend(address):
            return 429, "too many requests; wait a second"
        query = scope.get("query_string", b"")
        if len(query) > _LONGEST_QUERY or query.count(b"&") >= _MOST_FIELDS:
            return 414, "the query is too long"
        host = _name_of(headers.get("host", ""))
        if self._private and not is_loopback(host):
            return 403, "this page is for this machine only: open it as 127.0.0.1 or localhost"
        if not _same_origin(scope, headers):
            return 403, "pages of other sites get nothing from here"
        return self._refusal_of_token(scope, headers, address)

    def _refusal_of_token(
        self, scope: Scope, headers: dict[str, str], address: str
    ) -> tuple[int, str] | None:
        if self._token is None:
            return None
        if self._guesses.left(address) < 1:
            return 429, "too many wrong tokens; wait half a minute"
        offered = _token_in(scope, headers)
        cookie = _cookies_in(headers).get(self._cookie_name(scope), "")
        if offered is None and _equal(cookie, self._cookie_text()):
            return None
        if offered is not None and _equal(offered, self._token):
            return None
        if offered is not None or cookie:
            self._guesses.spend(address)
        return 401, (
            "this page needs its token: open the address that roadseg logged, with ?token= in it"
        )

    def _cookie_to_give(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Header that lets a browser in later without the token in its address."""
        if self._token is None or scope["type"] != "http" or scope["path"] != "/":
            return []
        if _token_in(scope, {}) is None:
            return []
        # Lax, not Strict: else the link with the token, opened from a message, would not work.
        text = f"{self._cookie_name(scope)}={self._cookie_text()}; Path=/; HttpOnly; SameSite=Lax"
        return [(b"set-cookie", text.encode())]

    def _cookie_name(self, scope: Scope) -> str:
        # Browsers share cookies between the ports of a host.
        port = scope["server"][1] if scope.get("server") else 0
        return f"roadseg_{port}"

    def _cookie_text(self) -> str:
        """Derived from the token: it survives a restart, and does not give the token away."""
        token = (self._token or "").encode()
        return hmac.new(token, b"cookie of the page", hashlib.sha256).hexdigest()


def _headers_of(scope: Scope) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): text.decode("latin-1") for name, text in scope["headers"]
    }


def _name_of(host: str) -> str:
    """Name without port and brackets: ``[::1]:8080`` is ``::1``."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _same_origin(scope: Scope, headers: dict[str, str]) -> bool:
    origin = headers.get("origin")
    # Programs send no Origin; browsers always do with a WebSocket.
    if origin is not None and _place_of(origin) != headers.get("host", "").lower():
        return False
    if headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
        return scope["type"] == "http" and headers.get("sec-fetch-mode") == "navigate"
    return True


def _place_of(origin: str) -> str | None:
    """Host and port of an origin, in lower case; None for what is none, such as ``null``."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _token_in(scope: Scope, headers: dict[str, str]) -> str | None:
    kind, _, bearer = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return bearer.strip()
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return query["token"][0] if "token" in query else None


def _cookies_in(headers: dict[str, str]) -> dict[str, str]:
    try:
        return {name: one.value for name, one in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _equal(given: str, expected: str) -> bool:
    """Compare in a time that says nothing about how much of it is right."""
    return hmac.compare_digest(given.encode(), expected.encode())


async def _refuse(scope: Scope, refusal: tuple[int, str], send: Send) -> None:
    status, text = refusal
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})  # before accept: a plain 403
        return
    body = f"{text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        *_HEADERS,
    ]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
