"""Asks the kernel whether this machine has a route to an address. No packet is sent."""

from __future__ import annotations

import errno
import socket

from healthprobe.probing.errors import NoRoute

_OF_TWO_MEANINGS = frozenset({errno.EHOSTUNREACH, errno.EINVAL, errno.EADDRNOTAVAIL})
"""What a route of our own says, and also: the engine's machine is off, the address is none, the ports are used up."""

_ANY_PORT = 9
_LINK_LOCAL = "fe80:"


def blame(error: OSError, address: str) -> OSError:
    """Returns what an error of a connection to `address` says: NoRoute where this machine's own routes raised it."""
    if error.errno not in _OF_TWO_MEANINGS:
        return error
    return no_route(address) or error


def no_route(address: str) -> NoRoute | None:
    """Returns why this machine has no route to an IP address, or None if it has one or the address is incomplete.

    Connecting a datagram socket looks the route up and does nothing else.
    """
    is_ipv6 = ":" in address
    if is_ipv6 and address.lower().startswith(_LINK_LOCAL):
        return None  # it has a meaning only with its link
    with socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect((address, _ANY_PORT))
        except OSError as error:
            return NoRoute(error.errno, error.strerror)
    return None
