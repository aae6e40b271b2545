"""Checks every request before the routes: origin, token and rate; adds headers to answers."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from pipeline.stream.web.connections import Connections, client_of, network_of
from pipeline.stream.web.credentials import Credentials, token_in
from pipeline.stream.web.options import Limits, is_loopback

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: The page loads nothing from other hosts, cannot be put into a frame, and is not cached.
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

#: Wrong tokens from one address: per second on average, and at once.
_GUESSES, _GUESSES_AT_ONCE = 0.2, 10
#: Addresses whose requests are remembered.
_ADDRESSES = 1024
_LONGEST_QUERY, _MOST_FIELDS = 1024, 16


class RateLimit:
    """Requests per address: ``burst`` at once, ``rate`` per second on average."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def left(self, address: str) -> float:
        """Return how many requests an address may make now."""
        left, moment = self._known.get(address, (float(self._burst), 0.0))
        return min(self._burst, left + (time.monotonic() - moment) * self._rate)

    def spend(self, address: str) -> bool:
        """Count a request; False if there were too many."""
        left = self.left(address)
        if left < 1:
            return False
        self._known[address] = (left - 1, time.monotonic())
        self._known.move_to_end(address)
        if len(self._known) > _ADDRESSES:
            self._known.popitem(last=False)
        return True


class AccessControl:
    """Refuses requests of clients who may not see the page, and adds headers to every answer.

    - On a private page ``Host`` must name this machine. A web site whose name was pointed at
      127.0.0.1 (DNS rebinding) sends its own name, and is refused.
    - Requests from pages of other origins are refused, by ``Origin`` or ``Sec-Fetch-Site``.
    - The token comes as ``?token=``, as ``Authorization: Bearer``, or as the cookie that the page
      sets. Requests with it are counted separately, so that others at the same address cannot use
      up their rate. After many wrong tokens further ones are answered late, and so is a right one.

    Args:
        app: answers the requests that are let in.
        private: only this machine may connect.
        token: password of the page; None for none.
        limits: of requests.
        connections: of the server.
    """

    def __init__(
        self, app: App, private: bool, token: str | None, limits: Limits, connections: Connections
    ) -> None:
        self._app = app
        self._private = private
        self._credentials = None if token is None else Credentials(token)
        self._connections = connections
        self._pause = limits.guess_seconds
        self._holders = RateLimit(limits.requests, limits.burst)
        self._strangers = RateLimit(limits.requests, limits.burst)
        self._guesses = RateLimit(_GUESSES, _GUESSES_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            return
        headers = _headers_of(scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(scope, refusal, send)
            return
        offered = token_in(scope.get("query_string", b""), headers)
        if self._credentials is None or self._credentials.are_right(offered, headers, _port(scope)):
            with self._connections.serving(client_of(scope)):
                await self._welcome(scope, offered, receive, send)
            return
        await self._turn_away(scope, offered, send)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Return why a request is refused for any client; None if it is not."""
        query = scope.get("query_string", b"")
        if len(query) > _LONGEST_QUERY or query.count(b"&") >= _MOST_FIELDS:
            return 414, "the query is too long"
        host = _name_of(headers.get("host", ""))
        if self._private and not is_loopback(host):
            return 403, "this page is for this machine only: open it as 127.0.0.1 or localhost"
        if not _same_origin(scope, headers):
            return 403, "pages of other sites get nothing from here"
        return None

    async def _welcome(
        self, scope: Scope, offered: str | None, receive: Receive, send: Send
    ) -> None:
        address = network_of(client_of(scope)[0])
        if not self._holders.spend(address):
            await _refuse(scope, (429, "too many requests; wait a second"), send)
            return
        if offered is not None:
            await self._hesitate(address)
        cookie = self._cookie_to_give(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS, *cookie]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    async def _turn_away(self, scope: Scope, offered: str | None, send: Send) -> None:
        address = network_of(client_of(scope)[0])
        refusal = (
            401,
            "this page needs its token: open the address that roadseg logged, with ?token= in it",
        )
        if not self._strangers.spend(address):
            refusal = 429, "too many requests; wait a second"
        elif offered is not None:
            await self._hesitate(address)
            self._guesses.spend(address)
        await _refuse(scope, refusal, send)

    async def _hesitate(self, address: str) -> None:
        """Delay the answer after too many wrong tokens, to a right one as well."""
        if self._credentials is not None and self._guesses.left(address) < 1:
            await asyncio.sleep(self._pause)

    def _cookie_to_give(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Header that sets the cookie, for a request of the page with the token in its address."""
        if self._credentials is None or scope["type"] != "http" or scope["path"] != "/":
            return []
        if token_in(scope.get("query_string", b""), {}) is None:
            return []
        return [(b"set-cookie", self._credentials.cookie(_port(scope)).encode())]


def _port(scope: Scope) -> int:
    return int(scope["server"][1] or 0) if scope.get("server") else 0


def _headers_of(scope: Scope) -> dict[str, str]:
    """Return headers by lower-case name; several cookie headers are joined."""
    found: dict[str, str] = {}
    for raw, text in scope["headers"]:
        name, value = raw.decode("latin-1").lower(), text.decode("latin-1")
        found[name] = f"{found[name]}; {value}" if name == "cookie" and name in found else value
    return found


def _name_of(host: str) -> str:
    """Return the host name without port and brackets: ``::1`` of ``[::1]:8080``."""
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
    """Return host and port of an origin in lower case; None for others, such as ``null``."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


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
