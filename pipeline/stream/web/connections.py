"""Limits of connections, in all and per address, and which one is closed for a new one."""

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
    """Return the address that counts for limits: of IPv6 the first 64 bits, one household's."""
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
    """Return the client of a request."""
    client = scope.get("client")
    return (client[0], client[1]) if client else ("", 0)


@dataclass(eq=False)
class _Connection:
    network: str
    abort: Callable[[], None]
    serving: int = 0


class Connections:
    """The open connections of a server; used only on its event loop.

    If there are too many, a new one replaces an idle one, so that silent clients, half requests and
    idle browsers keep nobody out. It replaces the oldest of the address with most idle connections,
    so that many clients at one address replace each other. One being answered is never closed.
    """

    def __init__(self, limit: int, per_address: int) -> None:
        self._limit = limit
        self._per_address = per_address
        self._open: dict[Client, _Connection] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._open)

    def open(self, client: Client, abort: Callable[[], None]) -> bool:
        """Count a new connection; False if it must be closed at once.

        ``abort`` closes it when another one replaces it.
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
        """Forget a closed connection, if it was counted."""
        self._open.pop(client, None)

    def abort(self, client: Client) -> None:
        """Close a connection at once."""
        if (connection := self._open.pop(client, None)) is not None:
            connection.abort()

    @contextmanager
    def serving(self, client: Client) -> Iterator[None]:
        """Keep a connection from being replaced while a request is answered."""
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
