"""Standard output as a bus: one event a line, as JSON."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import msgspec

from healthprobe.domain.event import HealthEvent
from healthprobe.ports import PublisherClosed, PublishError

_STANDARD_OUTPUT = 1
_READER_GONE = {errno.EPIPE, errno.EBADF, errno.EIO}


class StdoutPublisher:
    """Writes events to standard output as JSON lines, each flushed, with exactly the event's fields.

    `write` takes a line with its end, instead of standard output; `render` makes an event such a line, instead of JSON.
    Both are called on a thread. A reader that is slow holds up `publish` and nothing else: neither the event loop nor
    the end of the process waits for it.
    """

    def __init__(
        self, write: Callable[[str], None] | None = None, render: Callable[[HealthEvent], str] | None = None
    ) -> None:
        self._write = write or _write_past_buffers
        self._render = render or line_of
        self._turn = threading.Lock()

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        """Write `events` in order; returns when the last of them is out of our hands.

        Raises PublishError; PublisherClosed where the reader is. A call that is cancelled ends with the line it is at.
        """
        given_up = threading.Event()
        outcome: Future[None] = Future()
        outcome.set_running_or_notify_cancel()
        # not the loop's executor: a process waits for its threads as it ends, and one may be blocked on a full pipe
        threading.Thread(target=self._deliver, args=(events, given_up, outcome), daemon=True).start()
        try:
            await asyncio.wrap_future(outcome)
        finally:
            given_up.set()

    def _deliver(self, events: Sequence[HealthEvent], given_up: threading.Event, outcome: Future[None]) -> None:
        written = 0
        try:
            with self._turn:
                for event in events:
                    if given_up.is_set():
                        break
                    self._write(self._render(event))
                    written += 1
        except (OSError, ValueError) as error:
            outcome.set_exception(_plain_error(error, written))
        except Exception as error:  # noqa: BLE001 -- a fault of `write`, which is the caller's: handed over as it is
            outcome.set_exception(error)
        else:
            outcome.set_result(None)


def line_of(event: HealthEvent) -> str:
    """The event as one line of JSON, with its end."""
    return msgspec.json.encode(event.as_document()).decode() + "\n"


def _write_past_buffers(line: str) -> None:
    """Write to the descriptor itself: a thread that blocks inside Python's buffer would hold its lock at exit."""
    rest = memoryview(line.encode())
    while rest:
        try:
            rest = rest[os.write(_STANDARD_OUTPUT, rest) :]
        except BlockingIOError:  # whoever gave us this pipe made it non-blocking
            select.select([], [_STANDARD_OUTPUT], [])


def _plain_error(error: OSError | ValueError, written: int) -> PublishError:
    if isinstance(error, OSError) and error.errno not in _READER_GONE:
        return PublishError(f"standard output takes no more: {error.strerror or error}", delivered=written)
    if isinstance(error, UnicodeError):
        return PublishError(f"an event cannot be written as text: {error}", permanent=True, delivered=written)
    return PublisherClosed("standard output was closed by its reader")
