"""The connection to one engine, and the answers received on it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from contextlib import suppress
from enum import Enum, auto
from math import inf
from typing import Protocol, cast

from healthprobe.domain.outcome import HEALTHY, OK, Failed, FailureKind, Healthy, Inconclusive, judge_status
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.answers.expectation import ResponseCheck
from healthprobe.probing.answers.redirect import REDIRECT_STATUSES, Redirect
from healthprobe.probing.answers.response import BODY_LIMIT, BodyReader, ResponseReader
from healthprobe.probing.errors import MalformedResponse, classify_close
from healthprobe.probing.timer_wheel import Expiring, TimerWheel

_DRAIN_SECONDS = 1.0
"""How long the rest of a body may take before its connection is closed."""

_LINGER_SECONDS = 0.1
"""How long the rest of a body may take on a connection that is closed in any case."""

_DISCARD_BYTES = 64 * 1024

_REQUEST_TIMEOUT = 408

_CLOSED_EARLY = Failed(0, "connection closed before the response head", FailureKind.CLOSED)

PROBER_CLOSED = Inconclusive("the prober was closed")
"""The outcome of a probe whose connection was aborted by the prober."""


class NoAnswer(Enum):
    """Why there is no answer."""

    YET = auto()
    """The head is not complete at the given time; it may still come."""

    CLOSED = auto()
    """The connection ended before the first byte of an answer."""


Answer = Healthy | Failed | Inconclusive | Redirect | NoAnswer


class ConnectionOwner(Protocol):
    """Keeps connections between probes."""

    def keep(self, connection: EngineConnection) -> None:
        """Called when the connection can carry another request: a healthy answer has ended and is kept alive."""
        ...

    def closed(self, connection: PooledConnection) -> None:
        """Called when the connection has no socket any more."""
        ...


class PooledConnection(asyncio.Protocol):
    """A connection whose descriptor its owner counts."""

    __slots__ = ("_is_disowned", "_owner", "_transport", "address")

    def __init__(self, owner: ConnectionOwner) -> None:
        self.address = ""
        """The address that was connected to, as the resolver or the endpoint gave it, or the path of a unix socket."""
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._is_disowned = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._is_disowned:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self._transport = None
        self._owner.closed(self)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def disown(self) -> None:
        """Closes a connection that failed to open or is not needed any more.

        The loop closes its socket with or without a call of `connection_lost`.
        """
        self._is_disowned = True
        if self._transport is not None:
            _discard_received(self._transport)
            self._transport.abort()
        self._owner.closed(self)


class EngineConnection(PooledConnection):
    """An HTTP connection. It carries one request at a time, and its answer is known at the head of the response.

    It stays open after healthy answers only, so that an old process that hangs or fails cannot hide a new one behind
    the same address.
    """

    __slots__ = (
        "_bucket",
        "_cache",
        "_check",
        "_early_answer",
        "_early_data",
        "_is_asking",
        "_is_finishing",
        "_loop",
        "_reader",
        "_waiter",
        "_wheel",
        "close_cause",
        "ends_at",
        "is_idle",
        "is_kept",
        "request",
        "request_start",
        "review_at",
        "target",
    )

    def __init__(
        self,
        target: ProbeTarget,
        owner: ConnectionOwner,
        wheel: TimerWheel,
        check: ResponseCheck,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(owner)
        self.target = target
        self.close_cause: Failed | Inconclusive = _CLOSED_EARLY
        """Why the connection ended, once it has."""
        self.request = b""
        """The request of each probe on this connection once it is kept."""
        self.request_start = b""
        """The request without its final empty line, to add a header to."""
        self.is_kept = self.is_idle = False
        """Set by the owner: whether it keeps this connection for its target, and whether no probe uses it."""
        self.ends_at = self.review_at = inf
        """The loop's times at which it is too old to be used, and at which to ask the first time whether it may be."""
        self._wheel = wheel
        self._loop = loop
        self._check = check
        self._cache = check.cache_for(target)
        self._reader: ResponseReader | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._early_answer: Answer | None = None
        self._early_data = b""
        self._bucket: set[Expiring] | None = None
        self._is_asking = self._is_finishing = False

    def ask(self, request: bytes, until: float | None = None) -> asyncio.Future[Answer]:
        """Sends `request`. The future gives the answer, or NoAnswer.YET at the loop's time `until`.

        It never raises.
        """
        if self._transport is None:
            self._early_answer = NoAnswer.CLOSED
            if self._early_data:
                self._is_asking = True
                self._read_early_data()
            return self.wait_longer()
        self._is_asking = True
        self._early_answer = None
        if self._reader is not None:
            self._reader.expect_response()
        if until is not None:
            self._bucket = self._wheel.add(self, until)
        self._transport.write(request)
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def ask_first(self, request: bytes) -> asyncio.Future[Answer]:
        """Sends the first `request`. What came before it is its answer: a server at its limit does not read first."""
        answer = self.ask(request)
        if self._early_data and self._transport is not None:
            self._read_early_data()
        return answer

    @property
    def status(self) -> int:
        """The status of a response whose body is still read, or 0."""
        return self._reader.status if self._reader is not None and self._is_asking else 0

    def wait_longer(self) -> asyncio.Future[Answer]:
        """Returns the answer to the same request after NoAnswer.YET, without a time limit."""
        self._waiter = waiter = self._loop.create_future()
        if self._early_answer is not None:
            self._answer(self._early_answer)
        return waiter

    def abort(self) -> None:
        """Closes the connection at once; what is still received on it is ignored."""
        if self._transport is not None:
            if self._is_asking:
                self._answer(PROBER_CLOSED)
            self._is_asking = False
            self._leave_wheel()
            if self._reader is not None and not self._reader.is_complete:
                _discard_received(self._transport)
            self._transport.abort()

    def finish(self) -> None:
        """Closes the connection after its answer, and waits a moment for the rest of a small body.

        A close before an engine has sent its body, or with data unread, is a reset, which engines log as an error.
        """
        reader = self._reader
        has_rest = reader is not None and reader.status and not reader.is_complete and reader.body_size <= BODY_LIMIT
        if self._transport is None or not has_rest or self.target.settings.method == "HEAD":
            self.abort()
            return
        self._is_finishing = True
        self._leave_wheel()
        self._bucket = self._wheel.add(self, self._loop.time() + _LINGER_SECONDS)

    def data_received(self, data: bytes) -> None:
        if not self._is_asking:
            self._drain(data)
            return
        reader = self._reader
        if data == self._cache.response and (reader is None or not (reader.has_begun or reader.status)):
            self._is_asking = False
            self._leave_wheel()
            self._owner.keep(self)
            self._answer(HEALTHY)
            return
        if reader is None:
            reader = self._reader = self._check.new_reader()
        self._read(reader, data)

    def _read(self, reader: ResponseReader, data: bytes) -> None:
        is_first_data = not (reader.has_begun or reader.status)
        try:
            reader.feed(data)
        except MalformedResponse as malformed:
            self._give_up(Failed(0, str(malformed), FailureKind.MALFORMED))
            return
        if not reader.status:
            return
        if self._check.is_plain:
            answer = HEALTHY if reader.status == OK else _judge_status_or_redirect(reader)
        else:
            checked = self._check_response(reader)
            if checked is None:
                return
            answer = checked
        if answer is HEALTHY and reader.keeps_alive and not self._early_data:
            self._is_asking = False
            if reader.is_complete:
                if is_first_data:
                    self._cache.store(data)
                self._leave_wheel()
                self._owner.keep(self)
            elif self._bucket is None:
                self._bucket = self._wheel.add(self, self._loop.time() + _DRAIN_SECONDS)
            self._answer(HEALTHY)
        else:
            self._give_up(answer)

    def _read_early_data(self) -> None:
        """Reads what came before the first request. The connection is not kept: it may send a second answer."""
        reader = self._reader = self._check.new_reader()
        self._read(reader, self._early_data)
        if self._transport is None and self._is_asking:
            self._conclude_at_end(None)
        elif self._transport is not None and self._is_asking:
            self._transport.resume_reading()

    def _give_up(self, answer: Answer) -> None:
        """Ends the probe with `answer`, and the connection."""
        if isinstance(answer, Failed) and self.is_kept and self._is_answer_to_nothing():
            answer = NoAnswer.CLOSED
        self._is_asking = False
        self._answer(answer)
        self.finish()

    def _is_answer_to_nothing(self) -> bool:
        """Returns whether the engine was ending the kept connection while our request was on its way.

        A 408 that ends the connection says so, and so does anything that came before the engine's machine had all of
        the request. The probe then goes on as if the connection had been closed without a word.
        """
        reader = self._reader
        if reader is not None and reader.status == _REQUEST_TIMEOUT and not reader.keeps_alive:
            return True
        return self._transport is not None and _unacknowledged_bytes(self._transport) > 0

    def _check_response(self, reader: ResponseReader) -> Answer | None:
        """Returns the answer of an engine of which more than a status is expected, or None while more must come."""
        check = self._check
        verdict = check.check_head(reader, self.target)
        is_other_game = isinstance(verdict, Failed) and verdict.kind is FailureKind.IDENTITY
        if reader.status in REDIRECT_STATUSES and not check.expects_status(reader.status) and not is_other_game:
            return _judge_status_or_redirect(reader)
        if verdict is not None or not isinstance(reader, BodyReader):
            return verdict
        if reader.has_ended or reader.is_full:
            return check.check_body(reader)
        if reader.body_error:
            return Failed(reader.status, f"{reader.body_error} after status {reader.status}", FailureKind.MALFORMED)
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._leave_wheel()
        if self._is_asking:
            self._conclude_at_end(exc)
        self._owner.closed(self)

    def _conclude_at_end(self, exc: Exception | None) -> None:
        self._is_asking = False
        reader = self._reader
        if isinstance(reader, BodyReader) and reader.status:
            if exc is None and reader.ends_with_connection:
                self._answer(self._check.check_body(reader))
            else:
                place = f"in the middle of the body after status {reader.status}"
                self._answer(classify_close(exc, place, reader.status))
            return
        in_head = reader is not None and reader.has_begun
        place = "in the middle of the response head" if in_head else "before the response head"
        self.close_cause = classify_close(exc, place)
        self._answer(self.close_cause if in_head else NoAnswer.CLOSED)

    def on_deadline(self) -> None:
        self._bucket = None
        if not self._is_asking:
            self.abort()
        elif self._waiter is not None:
            self._answer(NoAnswer.YET)

    def _drain(self, data: bytes) -> None:
        """Reads the rest of a body. Anything else is unsolicited and would be taken for the next answer.

        Only what comes before the first request is kept for it.
        """
        if not self.request:
            self._early_data += data
            if self._transport is not None:
                self._transport.pause_reading()
            return
        reader = self._reader
        if reader is None or reader.is_complete or not reader.status:
            self.abort()
            return
        try:
            reader.feed(data)
        except MalformedResponse:
            self.abort()
            return
        self._note_drained(reader)

    def _note_drained(self, reader: ResponseReader) -> None:
        if self._is_finishing:
            if reader.is_complete or reader.body_size > BODY_LIMIT:
                self.abort()
        elif reader.is_complete:
            self._leave_wheel()
            self._owner.keep(self)

    def _answer(self, answer: Answer) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            self._early_answer = answer
        elif not waiter.done():
            waiter.set_result(answer)

    def _leave_wheel(self) -> None:
        if self._bucket is not None:
            self._bucket.discard(self)
            self._bucket = None


def _judge_status_or_redirect(reader: ResponseReader) -> Answer:
    if reader.status in REDIRECT_STATUSES and (location := reader.location) is not None:
        return Redirect(reader.status, location)
    return judge_status(reader.status)


def _unacknowledged_bytes(transport: asyncio.Transport) -> int:
    """Returns how much of what was sent the engine's machine has not acknowledged, or 0 where that is not known."""
    if transport.is_closing():  # its descriptor may be another connection's by now
        return 0
    sock = transport.get_extra_info("socket")
    try:
        count: int = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
    except (AttributeError, OSError):
        return 0
    return count


def _discard_received(transport: asyncio.Transport) -> None:
    """Reads what has arrived, up to 64 KiB: a close with data unread is a reset, which engines log as an error."""
    if not transport.is_closing():  # else its descriptor may be another connection's by now
        with suppress(AttributeError, OSError):
            os.read(transport.get_extra_info("socket").fileno(), _DISCARD_BYTES)
