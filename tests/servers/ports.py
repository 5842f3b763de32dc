"""Ports for servers that must be told theirs before they start."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from itertools import count

_PORTS = range(11_000, 31_000)
"""Below the range from which clients' own ports are drawn (32768 and above): none of those can be in a server's way."""


def free_port() -> int:
    """A port on 127.0.0.1 that nobody has now, and that this process has not given to anybody before."""
    for port in _candidates:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("the candidates never end")


def _every_port() -> Iterator[int]:
    """All of them round and round; processes that run side by side begin far from each other."""
    begin = os.getpid() * 7_919
    return (_PORTS[(begin + step) % len(_PORTS)] for step in count())


_candidates = _every_port()
