"""systemd as the manager of this process: says that it is ready, stops, and works (sd_notify, without its library)."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

_LONGEST = 1_000
"""How many characters a value may have."""


@dataclass(frozen=True, slots=True)
class Systemd:
    """The socket on which systemd listens for notifications of this process, and its watchdog.

    `address` is a path, or in the abstract namespace if it begins with NUL. After `watchdog` seconds without a
    WATCHDOG=1 the process is taken for dead; None where there is no watchdog.
    """

    address: str
    watchdog: float | None = None

    @classmethod
    def of_environment(cls, environment: Mapping[str, str], pid: int) -> Self | None:
        """Returns what NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say to the process `pid`.

        None if systemd does not wait for notifications, or listens in a way other than a Unix socket.
        """
        address = environment.get("NOTIFY_SOCKET", "")
        if len(address) < 2 or address[0] not in "/@":
            return None
        if address[0] == "@":
            address = "\0" + address[1:]
        microseconds, for_pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
        is_watched = microseconds.isdecimal() and int(microseconds) > 0 and for_pid in {"", str(pid)}
        return cls(address, int(microseconds) / 1e6 if is_watched else None)

    def notify(self, **values: str | int) -> bool:
        """Sends assignments, such as READY=1. Never waits and never raises. Returns whether the socket took them."""
        lines = [f"{name}={_one_line(str(value))}" for name, value in values.items()]
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(errors="replace"), self.address)
            return True
        return False


def _one_line(value: str) -> str:
    return " ".join(value[:_LONGEST].split())
