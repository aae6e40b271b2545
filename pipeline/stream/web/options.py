"""Options of the page: address, token and limits."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from pipeline.errors import SinkError

#: Characters; even 50 tries a second for a year would not guess a random token of this length.
_SHORTEST_TOKEN = 8


@dataclass(frozen=True)
class Limits:
    """What the server allows, in all and per address.

    Attributes:
        viewers: browsers and players that get pictures at once.
        viewers_per_address: of these, from one address.
        requests: per second from one address, on average.
        burst: requests from one address at once.
        connections: open at once, including those of viewers.
        connections_per_address: of these, from one address.
        request_seconds: from the connection or the previous answer until a request is complete.
        stall_seconds: for which a client may leave unread what it was sent.
        guess_seconds: delay of answers to an address that sent too many wrong tokens.
        width: pixels; wider pictures are shrunk for the page.
    """

    viewers: int = 16
    viewers_per_address: int = 12
    requests: float = 20.0
    burst: int = 100
    connections: int = 64
    connections_per_address: int = 32
    request_seconds: float = 5.0
    stall_seconds: float = 10.0
    guess_seconds: float = 1.0
    width: int = 1280


@dataclass(frozen=True)
class HttpOptions:
    """Where and to whom the page is served.

    Attributes:
        host: address to listen on; 127.0.0.1 for this machine only, 0.0.0.0 for every network.
        port: 0 for any free one.
        token: password of the page. With None there is none on a loopback address; on any other a
            random one is generated, and is part of the page's URL, so that a camera is never open
            to a whole network because no password was chosen.
        limits: of requests and viewers.

    Raises:
        SinkError: the port does not exist, or the token is too short or has other characters.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise SinkError(
                f"the page's port is {self.port}; give one from 1 to 65535, or 0 for any free one"
            )
        if self.token is None:
            return
        if len(self.token) < _SHORTEST_TOKEN:
            raise SinkError(
                f"the page's token has {len(self.token)} characters; give at least "
                f"{_SHORTEST_TOKEN}, or none at all to have one generated"
            )
        if not (self.token.isascii() and self.token.isprintable()) or " " in self.token:
            raise SinkError("the page's token may hold ASCII letters, digits and signs, no space")

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach the page."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a name or an address, without port or brackets, means this machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
