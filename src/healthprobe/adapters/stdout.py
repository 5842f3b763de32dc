"""Publishes events to standard output: one JSON line an event."""

from __future__ import annotations

import errno
import os
import select
import threading
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from healthprobe._util.threads import run_in_daemon_thread
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import PublisherClosed, PublishError

_STANDARD_OUTPUT = 1
_READER_GONE = {errno.EPIPE, errno.EBADF, errno.EIO}


class StdoutPublisher:
    """Writes events to standard output as JSON lines, each flushed, with exactly the event's fields.

    `write` replaces standard output and gets one line, with its line break, at a time; `render` replaces JSON. Both are
    called on a thread. A slow reader delays only `publish`: the event loop and the end of the process do not wait.
    """

    def __init__(
        self, write: Callable[[str], None] | None = None, render: Callable[[HealthEvent], str] | None = None
    ) -> None:
        self._write = write or _write_unbuffered
        self._render = render or line_of
        self._lock = threading.Lock()

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        """Writes `events` in order. After a cancellation the line that is being written is still completed.

        Raises PublishError; PublisherClosed if the reader has closed standard output.
        """
        await run_in_daemon_thread(partial(self._write_all, events))

    def _write_all(self, events: Sequence[HealthEvent], cancelled: threading.Event) -> None:
        written = 0
        try:
            with self._lock:
                for event in events:
                    if cancelled.is_set():
                        break
                    self._write(self._render(event))
                    written += 1
        except (OSError, ValueError) as error:
            raise _publish_error(error, written) from error


def line_of(event: HealthEvent) -> str:
    """Returns the event as one line of JSON, with its line break."""
    return msgspec.json.encode(event.as_document()).decode() + "\n"


def _write_unbuffered(line: str) -> None:
    """Writes to the descriptor: a thread blocked inside Python's buffer would hold the buffer's lock at exit."""
    rest = memoryview(line.encode())
    while rest:
        try:
            rest = rest[os.write(_STANDARD_OUTPUT, rest) :]
        except BlockingIOError:  # the pipe may have been made non-blocking by the process that opened it
            select.select([], [_STANDARD_OUTPUT], [])


def _publish_error(error: OSError | ValueError, written: int) -> PublishError:
    """A text that cannot be encoded is permanent; a closed reader ends the relay; all else is retried."""
    if isinstance(error, OSError) and error.errno not in _READER_GONE:
        return PublishError(f"standard output takes no more: {error.strerror or error}", delivered=written)
    if isinstance(error, UnicodeError):
        return PublishError(f"an event cannot be written as text: {error}", permanent=True, delivered=written)
    return PublisherClosed("standard output was closed by its reader")
