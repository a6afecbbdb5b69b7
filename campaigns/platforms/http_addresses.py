"""In: a host. Out: its addresses, none that must not be connected to, and in time."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Collection
from typing import Any

from campaigns.platforms.errors import Forbidden, NotSent

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def check_address(host: str, port: int, *, allow_hosts: Collection[str]) -> list[tuple[Any, ...]]:
    """Resolve a host and return the addresses that may be connected to.

    Raises ``Forbidden`` when any of them is not public, unless the host (or ``host:port``) is in
    ``allow_hosts``; ``socket.gaierror`` when the name is not known.
    """
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if host in allow_hosts or f"{host}:{port}" in allow_hosts:
        return list(infos)
    for info in infos:
        if not _is_public(str(info[4][0])):
            raise Forbidden("The address is loopback, private or reserved.")
    return list(infos)


def resolve_in_time(
    host: str, port: int, *, allow_hosts: Collection[str], seconds: float
) -> list[tuple[Any, ...]]:
    """As ``check_address``; ``NotSent`` when the name is not resolved within so many seconds."""
    if _is_address(host):  # nobody has to be asked
        return check_address(host, port, allow_hosts=allow_hosts)
    return _within(seconds, lambda: check_address(host, port, allow_hosts=allow_hosts))


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(str(inner))
    return address.is_global and not address.is_multicast


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _within(seconds: float, resolve: Callable[[], list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    """What ``resolve`` returns or raises, but no later than this: a resolver knows no deadline."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(resolve())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise NotSent("The name of the host was not resolved in time.")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    found: list[tuple[Any, ...]] = outcome[0]
    return found
