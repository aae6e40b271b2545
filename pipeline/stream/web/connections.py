"""Who is connected: how many at once, how many of one address, and who has to leave for another."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

#: Address and port, as servers hand them to applications.
Client = tuple[str, int]


def network_of(host: str) -> str:
    """Return what counts as one address: of IPv6 the first 64 bits, which one household has."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False).network_address)


def client_of(scope: Mapping[str, Any]) -> Client:
    """Return the other end of a request's connection."""
    client = scope.get("client")
    return (client[0], client[1]) if client else ("", 0)


@dataclass(eq=False)
class _Connection:
    network: str
    abort: Callable[[], None]
    serving: int = 0


class Connections:
    """The open connections of a server; all of it lives on its event loop.

    Where there is no place for another one, the oldest that waits for nothing leaves: silence, half
    requests and idle browsers never keep out somebody who asks. It is one of the address that has
    most of them, so that a crowd from one place displaces itself. Whoever is being answered stays.

    Args:
        limit: of connections.
        per_address: of connections from one address.
    """

    def __init__(self, limit: int, per_address: int) -> None:
        self._limit = limit
        self._per_address = per_address
        self._open: dict[Client, _Connection] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._open)

    def open(self, client: Client, abort: Callable[[], None]) -> bool:
        """Count a new connection; False when it must be closed at once.

        Args:
            client: its other end.
            abort: closes it, for the time when its place is needed.
        """
        network = network_of(client[0])
        own = sum(one.network == network for one in self._open.values())
        if own >= self._per_address and not self._displace(network):
            return False
        if len(self._open) >= self._limit and not self._displace(None):
            return False
        self._open[client] = _Connection(network, abort)
        return True

    def close(self, client: Client) -> None:
        """Forget a connection; one that is not known is none."""
        self._open.pop(client, None)

    def abort(self, client: Client) -> None:
        """End a connection without further words."""
        if (connection := self._open.pop(client, None)) is not None:
            connection.abort()

    @contextmanager
    def serving(self, client: Client) -> Iterator[None]:
        """Keep a connection from being displaced while a request of somebody known is answered."""
        connection = self._open.get(client)
        if connection is None:
            yield
            return
        connection.serving += 1
        try:
            yield
        finally:
            connection.serving -= 1

    def _displace(self, network: str | None) -> bool:
        waiting = [
            (client, one.network)
            for client, one in self._open.items()
            if not one.serving and network in {None, one.network}
        ]
        if not waiting:
            return False
        (crowd, _), *_ = Counter(where for _, where in waiting).most_common(1)
        self.abort(next(client for client, where in waiting if where == crowd))
        return True
