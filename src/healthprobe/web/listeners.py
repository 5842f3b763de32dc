"""The sockets that listen at an address: one for each address of a name, or a unix socket."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from healthprobe.ports import ConfigurationError
from healthprobe.web.listen_address import ListenAddress

_ADDRESSES = {"localhost": ("127.0.0.1", "::1"), "": ("0.0.0.0", "::"), "::": ("::", "0.0.0.0")}  # noqa: S104
"""Hosts that mean an address of each family, whatever the hosts file says."""

_NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""The machine has no such address, or no such family: it may have others of the same name."""

Address = tuple[socket.AddressFamily, tuple[Any, ...]]

_UNIX_MODE = 0o660
_TRIES = 20
_PROBE_TIMEOUT = 1.0


@contextmanager
def listening(at: ListenAddress) -> Iterator[list[socket.socket]]:
    """Yields the sockets that listen `at` an address, at one port; closes them at the end.

    Raises ConfigurationError if it cannot be listened at.
    """
    with ExitStack() as stack:
        try:
            if at.path:
                listeners = [_unix_listener(at.path)]
                stack.callback(Path(at.path).unlink, missing_ok=True)
            else:
                listeners = _listeners(at.host, at.port)
            for each in listeners:
                stack.callback(each.close)
            for each in listeners:
                each.listen()  # before the URL is printed: a client may connect before uvicorn is ready
                each.setblocking(False)
        except (OSError, UnicodeError) as error:
            cause = (getattr(error, "strerror", None) or str(error)).lower()
            raise ConfigurationError(f"--listen {at}: {cause}; choose another") from error
        yield listeners


def check_free(at: ListenAddress) -> None:
    """Raises ConfigurationError if a run could not listen `at` an address. Leaves nothing behind, and serves nobody."""
    if not at.path:
        with listening(at):
            return
    path, cause = Path(at.path), ""
    try:
        if path.exists() and (not path.is_socket() or _is_served(at.path)):
            cause = "address already in use"
        elif not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
            cause = f"the folder {path.parent} does not exist, or cannot be written"
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
    if cause:
        raise ConfigurationError(f"--listen {at}: {cause}; choose another")


def _listeners(host: str, port: int) -> list[socket.socket]:
    """Returns a bound socket for each address of `host`. For port 0 all get the same free port."""
    addresses: list[Address] = [
        (family, address)
        for name in _ADDRESSES.get(host.lower(), (host,))
        for family, _, _, _, address in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    ]
    for tries_left in reversed(range(_TRIES)):
        try:
            return _bound(list(dict.fromkeys(addresses)))
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE or not tries_left:
                raise
    raise AssertionError("unreachable")


def _bound(addresses: list[Address]) -> list[socket.socket]:
    """Binds a socket to each address, except those that this machine does not have. Raises OSError if it has none."""
    listeners: list[socket.socket] = []
    missing = OSError(errno.EADDRNOTAVAIL, "no address to listen at")
    with ExitStack() as stack:
        for family, (host, port, *others) in addresses:
            free_port = listeners[0].getsockname()[1] if listeners else 0
            try:
                listener = _bind(family, (host, port or free_port, *others))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error
            else:
                listeners.append(stack.enter_context(listener))
        if not listeners:
            raise missing
        stack.pop_all()
    return listeners


def _bind(family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has a socket of its own
        listener.bind(address)
        stack.pop_all()
    return listener


def _unix_listener(path: str) -> socket.socket:
    """Returns a socket bound to `path`, for its owner and group. A socket that a killed process left is replaced."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(Path(path).stat().st_mode) and not _is_served(path):
                Path(path).unlink()
        listener.bind(path)
        Path(path).chmod(_UNIX_MODE)  # before it listens: nobody can connect until then
        stack.pop_all()
    return listener


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_PROBE_TIMEOUT)
        try:
            client.connect(path)
        except ConnectionRefusedError:
            return False
    return True
