"""A publisher that writes to the socket of this machine's syslog."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from healthprobe.domain.event import EventType, HealthEvent
from healthprobe.ports import PublishError
from healthprobe_plaintext.location import path_of

_DAEMON = 3 << 3
_SEVERITY = {EventType.PROBE_FAILED: 3, EventType.PROBE_RECOVERED: 5, EventType.PROBE_ENDED: 5}
"""Error and notice, as RFC 5424 numbers them."""


class SyslogPublisher:
    """A HealthEventPublisher. An event counts as delivered once it is in the queue of the daemon at `path`.

    Unlike a datagram on the network, one to a socket of this machine is never lost: the kernel accepts it, waits while
    the queue is full, or refuses it at once if no process listens.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        """Delivers `events` in order. Raises PublishError, permanent for an event that is too long for a datagram."""
        for delivered, event in enumerate(events):
            try:
                await asyncio.get_running_loop().sock_sendall(self._connection(), message_of(event))
            except OSError as error:
                self.close()  # a daemon that was restarted has a new socket at the same path
                raise PublishError(
                    f"syslog at {self._path} accepts nothing: {error.strerror or error}",
                    permanent=error.errno == errno.EMSGSIZE,
                    delivered=delivered,
                ) from error

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connection(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._socket.connect(str(self._path))
        return self._socket


def message_of(event: HealthEvent) -> bytes:
    """Returns the event as JSON after a priority and a tag, as syslog(3) writes them."""
    return f"<{_DAEMON | _SEVERITY[event.event_type]}>healthprobe: {json.dumps(event.as_document())}".encode()


@asynccontextmanager
async def open_publisher(url: str) -> AsyncIterator[SyslogPublisher]:
    """The entry point of `--publish syslog:PATH`, as in `syslog:/dev/log`."""
    publisher = SyslogPublisher(path_of(url))
    try:
        yield publisher
    finally:
        publisher.close()
