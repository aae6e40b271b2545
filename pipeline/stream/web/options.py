"""Where the page is served, to whom, and how much of it at once."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from pipeline.errors import SinkError

#: Whoever may try 50 times a second for a year guesses none of this length.
_SHORTEST_TOKEN = 8


@dataclass(frozen=True)
class Limits:
    """What one server does for all of its visitors together, and for each of them.

    Attributes:
        viewers: browsers and streams that get pictures at once.
        viewers_per_address: of these, from one address.
        requests: per second from one address, over a longer time.
        burst: requests from one address at once.
        connections: open at once, those of viewers included.
        connections_per_address: of these, from one address.
        request_seconds: from the connection, or the answer before, until a request is there whole.
        stall_seconds: for which a visitor may leave unread what it was sent.
        guess_seconds: that an answer takes to an address which offered too many wrong tokens.
        width: pixels; wider pictures are made smaller for the page.
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
        host: address to listen on; 127.0.0.1 is this machine only, 0.0.0.0 every network.
        port: 0 for any free one.
        token: what a visitor has to know. None: nothing on this machine, and one that is made up
            (and stands in the page's URL) on every other address. A camera must not be on show for
            a whole network because nobody thought of a password, and a made-up one is a good one.
        limits: of requests and viewers.

    Raises:
        SinkError: a port that does not exist, or a token that is guessed too easily.
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
                f"{_SHORTEST_TOKEN}, or none at all and one is made up"
            )
        if not (self.token.isascii() and self.token.isprintable()) or " " in self.token:
            raise SinkError("the page's token may hold ASCII letters, digits and signs, no space")

    @property
    def is_private(self) -> bool:
        """Only this machine can reach the page."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a name or an address, without port or brackets, means this machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
