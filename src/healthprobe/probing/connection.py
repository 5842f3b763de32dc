"""The connection: one engine's socket, and the answers that come back on it."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from healthprobe.domain.outcome import HEALTHY, OK, Failed, FailureKind, Inconclusive, judge_status
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.answer import Answer, Redirect, Silence, closing_cause
from healthprobe.probing.expectation import Standard
from healthprobe.probing.redirect import REDIRECT_STATUSES
from healthprobe.probing.response import BodyReader, MalformedResponse, ResponseReader
from healthprobe.probing.timer_wheel import Sweep, Sweepable

_DRAIN_SECONDS = 1.0
"""How long the rest of a body may take before its connection is given up."""

_CLOSED_EARLY = Failed(0, "connection closed before the response head", FailureKind.CLOSED)

PROBER_CLOSED = Inconclusive("the prober was closed")
"""The outcome of a probe whose connection we gave up ourselves."""


class ConnectionOwner(Protocol):
    """Who is told when a connection can carry another request, and when it is gone."""

    def keep(self, connection: EngineConnection) -> None:
        """The answer was healthy, its body has ended, and the engine keeps the connection alive."""
        ...

    def closed(self, connection: EngineConnection) -> None:
        """The connection has no socket any more."""
        ...


class EngineConnection(asyncio.Protocol):
    """Carries one request at a time; an answer is known at the head of its response.

    Only a healthy answer lets a connection live on: after any other it closes itself, so that an old process which
    hangs or fails cannot hide a new one behind the same address.
    """

    __slots__ = (
        "_asking",
        "_bucket",
        "_disowned",
        "_early",
        "_loop",
        "_owner",
        "_precedent",
        "_reader",
        "_standard",
        "_sweep",
        "_transport",
        "_waiter",
        "closing_cause",
        "is_idle",
        "is_kept",
        "opening",
        "request",
        "target",
    )

    def __init__(
        self,
        target: ProbeTarget,
        owner: ConnectionOwner,
        sweep: Sweep,
        standard: Standard,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.target = target
        self.closing_cause: Failed | Inconclusive = _CLOSED_EARLY
        """Why the connection ended, once it has."""
        self.request = b""
        """What each probe asks on this connection once it is kept."""
        self.opening = b""
        """The same without the empty line that ends it, for whoever has a header line to add."""
        self.is_kept = self.is_idle = False
        """The owner's: whether it keeps this connection for its target, and whether no probe is using it."""
        self._owner = owner
        self._sweep = sweep
        self._loop = loop
        self._standard = standard
        self._precedent = standard.precedent_of(target)
        self._reader: ResponseReader | None = None
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._early: Answer | None = None
        self._bucket: set[Sweepable] | None = None
        self._asking = self._disowned = False

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def ask(self, request: bytes, until: float | None = None) -> asyncio.Future[Answer]:
        """Send `request`. The future gives the answer, or Silence.SO_FAR when the loop's time is `until`.

        It never raises.
        """
        if self._transport is None:
            self._early = Silence.CLOSED
            return self.go_on()
        self._asking = True
        self._early = None
        if self._reader is not None:
            self._reader.expect_response()
        if until is not None:
            self._bucket = self._sweep.watch(self, until)
        self._transport.write(request)
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def go_on(self) -> asyncio.Future[Answer]:
        """After Silence.SO_FAR: the answer to the same request, without a bound of time."""
        self._waiter = waiter = self._loop.create_future()
        if self._early is not None:
            self._settle(self._early)
        return waiter

    def abort(self) -> None:
        """Give the connection up; nothing that still comes on it has a meaning."""
        if self._transport is not None:
            if self._asking:
                self._settle(PROBER_CLOSED)
            self._asking = False
            self._leave_sweep()
            self._transport.abort()

    def disown(self) -> None:
        """Nobody waits for this connection to open any more.

        The loop closes its socket, and may or may not say so with `connection_lost`.
        """
        self._disowned = True
        if self._transport is not None:
            self._transport.abort()
        self._owner.closed(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._disowned:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._asking:
            self._drain(data)
            return
        reader = self._reader
        if data == self._precedent.response and (reader is None or not (reader.began or reader.status)):
            self._asking = False
            self._leave_sweep()
            self._owner.keep(self)
            self._settle(HEALTHY)
            return
        if reader is None:
            reader = self._reader = self._standard.reader()
        self._judge(reader, data)

    def _judge(self, reader: ResponseReader, data: bytes) -> None:
        in_one_piece = not (reader.began or reader.status)
        try:
            reader.feed(data)
        except MalformedResponse as malformed:
            self._settle(Failed(0, str(malformed), FailureKind.MALFORMED))
            self.abort()
            return
        if not reader.status:
            return
        if self._standard.is_exacting:
            answer = self._judge_exactly(reader)
            if answer is None:
                return
        else:
            answer = HEALTHY if reader.status == OK else self._answer_of(reader)
        if answer is HEALTHY and reader.keeps_alive:
            self._asking = False
            if reader.complete:
                if in_one_piece:
                    self._precedent.remember(data)
                self._leave_sweep()
                self._owner.keep(self)
            elif self._bucket is None:
                self._bucket = self._sweep.watch(self, self._loop.time() + _DRAIN_SECONDS)
            self._settle(HEALTHY)
        else:
            self._settle(answer)
            self.abort()

    def _judge_exactly(self, reader: ResponseReader, *, ended: bool = False) -> Answer | None:
        """The answer of an engine of which more than a status is expected; None while more of it must come."""
        standard = self._standard
        verdict = standard.at_head(reader, self.target)
        is_other = isinstance(verdict, Failed) and verdict.kind is FailureKind.IDENTITY
        if reader.status in REDIRECT_STATUSES and not standard.expects(reader.status) and not is_other:
            return self._answer_of(reader)
        if verdict is not None or not isinstance(reader, BodyReader):
            return verdict
        if reader.complete or reader.has_enough or ended:
            return standard.by_body(reader.body, reader.status)
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._leave_sweep()
        if self._asking:
            self._asking = False
            reader = self._reader
            if reader is not None and reader.status:  # a body that lasts until its connection ends, or was cut short
                self._settle(self._judge_exactly(reader, ended=True) or PROBER_CLOSED)
            else:
                in_head = reader is not None and reader.began
                self.closing_cause = closing_cause(exc, in_head=in_head)
                self._settle(self.closing_cause if in_head else Silence.CLOSED)
        self._owner.closed(self)

    def swept(self) -> None:
        self._bucket = None
        if not self._asking:
            self.abort()
        elif self._waiter is not None:
            self._settle(Silence.SO_FAR)

    def _drain(self, data: bytes) -> None:
        """The rest of a body; anything else was not asked for, and would be taken for the next answer."""
        reader = self._reader
        if reader is None or reader.complete or not reader.status:
            self.abort()
            return
        try:
            reader.feed(data)
        except MalformedResponse:
            self.abort()
            return
        if reader.complete:
            self._leave_sweep()
            self._owner.keep(self)

    def _settle(self, answer: Answer) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            self._early = answer
        elif not waiter.done():
            waiter.set_result(answer)

    def _leave_sweep(self) -> None:
        if self._bucket is not None:
            self._bucket.discard(self)
            self._bucket = None

    @staticmethod
    def _answer_of(reader: ResponseReader) -> Answer:
        if reader.status in REDIRECT_STATUSES and (location := reader.location) is not None:
            return Redirect(reader.status, location)
        return judge_status(reader.status)
