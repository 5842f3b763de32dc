"""The HTTP prober: one GET of an engine's `/healthz`, judged at the response's head, as cheaply as Python can."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.networks import Networks
from healthprobe.domain.outcome import HEALTHY, Failed, Inconclusive, ProbeOutcome
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.answer import Answer, Redirect, Silence
from healthprobe.probing.connection import PROBER_CLOSED, EngineConnection
from healthprobe.probing.dialer import Dialer, Progress
from healthprobe.probing.errors import outcome_of_error
from healthprobe.probing.expectation import Standards
from healthprobe.probing.pool import ConnectionPool, descriptors_to_spend
from healthprobe.probing.redirect import REDIRECT_LIMIT, RedirectRefused, redirected_path
from healthprobe.probing.request import probe_path, request_bytes
from healthprobe.probing.resolver import CachingResolver, Resolver
from healthprobe.probing.tls import Trust

EVERYWHERE = Networks()
"""Any address will do."""

_HALF = 0.5
"""The share of the timeout after which a silent kept connection gets a second chance on a fresh one."""


class HTTPProber:
    """A Prober for `http` and `https` endpoints; to be made inside the loop that it probes on.

    It keeps one connection an engine, or with `keep_connections=False` opens one a probe. `descriptor_budget` bounds
    the open connections; by default it is what the process's limit leaves. `tls` is the trust that https is held to;
    by default the system's roots. Nothing is sent to an address that is not among `networks`, and an answer whose
    `identity_header` names another game is a failure. `traceparent` gives, by game, the last line of a head that tells
    an engine a probe's trace, and the empty one after it. Proxies of the environment are ignored: a proxy's 200 is not
    the engine's.
    """

    def __init__(
        self,
        *,
        keep_connections: bool = True,
        descriptor_budget: int | None = None,
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
        networks: Networks = EVERYWHERE,
        identity_header: str | None = None,
        traceparent: Callable[[str], bytes] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._keeps = keep_connections
        self._requests: dict[ProbeTarget, bytes] = {}
        self.pool = ConnectionPool(descriptor_budget or descriptors_to_spend(), self._requests)
        self._take = self.pool.take
        self._resolver = resolver or CachingResolver()
        self.trust = Trust(tls)
        self.dialer = Dialer(self.pool, self._resolver, self.trust, networks, Standards(identity_header))
        self._limits: set[asyncio.Timeout] = set()
        self._traceparent = traceparent
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def capacity(self) -> int:
        """The most probes that can be in flight at once."""
        return self.pool.budget

    @property
    def open_connections(self) -> int:
        return len(self.pool)

    async def probe(self, target: ProbeTarget) -> ProbeOutcome:
        """One probe of `target`, which ends at most 50 ms after its timeout, whatever the engine does."""
        now, timeout = self._loop.time(), target.timeout
        deadline = now + timeout
        connection = self._take(target)
        if connection is None:
            return await self._probe_afresh(target, deadline)
        try:
            request = connection.request
            if self._traceparent is not None:
                request = connection.opening + self._traceparent(target.game_id)
            answer = await connection.ask(request, now + timeout * _HALF)
            if answer is HEALTHY:
                return HEALTHY
            return await self._unless_healthy(target, connection, answer, deadline)
        except asyncio.CancelledError:
            connection.abort()
            raise

    def forget(self, target: ProbeTarget) -> None:
        """Close the connection that is kept for `target`."""
        self._requests.pop(target, None)
        self.pool.forget(target)

    async def aclose(self) -> None:
        """Close every connection and end every lookup; a probe that is still under way ends inconclusive."""
        self._closed = True
        for limit in self._limits:
            limit.reschedule(self._loop.time())
        self.pool.close()
        await self._resolver.aclose()
        await self.pool.all_closed()

    async def _unless_healthy(
        self, target: ProbeTarget, connection: EngineConnection, answer: Answer, deadline: float
    ) -> ProbeOutcome:
        """What a kept connection's answer comes to. That the engine closed it meanwhile says nothing of its health."""
        match answer:
            case Silence.CLOSED:
                return await self._probe_afresh(target, deadline)
            case Silence.SO_FAR:
                return await self._second_chance(target, connection, deadline)
            case Redirect() as redirect:
                return await self._probe_afresh(target, deadline, redirect)
            case outcome:
                return outcome

    async def _second_chance(self, target: ProbeTarget, connection: EngineConnection, deadline: float) -> ProbeOutcome:
        """Ask on a fresh connection as well; the first response of the two counts.

        The kept one may belong to a process that is gone, or to one that is only slow.
        """
        kept = connection.go_on()
        fresh = self._loop.create_task(self._probe_afresh(target, deadline))
        either: set[asyncio.Future[Any]] = {kept, fresh}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not kept.done() and not _is_response(fresh.result()):
                await asyncio.wait({kept}, timeout=deadline - self._loop.time())
            if kept.done() and not isinstance(kept.result(), Silence):
                return await self._unless_healthy(target, connection, kept.result(), deadline)
            return await fresh
        finally:
            fresh.cancel()
            if not kept.done():
                connection.abort()

    async def _probe_afresh(
        self, target: ProbeTarget, deadline: float, redirect: Redirect | None = None
    ) -> ProbeOutcome:
        """Probe on a connection of its own, or follow `redirect` on one; the outcome is there by `deadline`."""
        endpoint = target.endpoint
        if isinstance(endpoint, Failed):
            return endpoint
        progress = Progress()
        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                self._limits.add(limit)
                if redirect is None:
                    return await self._exchange(target, endpoint, progress, deadline)
                return await self._follow(target, endpoint, redirect, progress, deadline)
        except Exception as error:  # noqa: BLE001  whatever an engine or our own code raises, it is an outcome
            if self._closed:
                return PROBER_CLOSED
            return progress.timed_out(target.timeout) if limit.expired() else outcome_of_error(error)
        finally:
            self._limits.discard(limit)

    async def _exchange(
        self, target: ProbeTarget, endpoint: Endpoint, progress: Progress, deadline: float
    ) -> ProbeOutcome:
        request = self._requests.get(target)
        if request is None:
            path = probe_path(target, endpoint)
            request = request_bytes(endpoint, path, keep_alive=self._keeps_alive(target), settings=target.settings)
            self._requests[target] = request
        answer = await self._ask_afresh(target, endpoint, request, progress, deadline)
        if isinstance(answer, Redirect):
            return await self._follow(target, endpoint, answer, progress, deadline)
        return answer

    async def _follow(
        self, target: ProbeTarget, endpoint: Endpoint, redirect: Redirect, progress: Progress, deadline: float
    ) -> ProbeOutcome:
        """Where `redirect` leads, as long as it stays with the same engine."""
        path = probe_path(target, endpoint)
        for _ in range(REDIRECT_LIMIT):
            try:
                path = redirected_path(endpoint, path, redirect.location)
            except RedirectRefused as refused:
                return Failed(redirect.status, str(refused))
            keep_alive = self._keeps_alive(target)
            request = request_bytes(endpoint, path, keep_alive=keep_alive, settings=target.settings)
            answer = await self._ask_afresh(target, endpoint, request, progress, deadline)
            if not isinstance(answer, Redirect):
                return answer
            redirect = answer
        return Failed(redirect.status, f"stopped after {REDIRECT_LIMIT} redirects")

    async def _ask_afresh(
        self, target: ProbeTarget, endpoint: Endpoint, request: bytes, progress: Progress, deadline: float
    ) -> ProbeOutcome | Redirect:
        connection = await self.dialer.connect(target, endpoint, progress, deadline)
        connection.request = self._requests.get(target, request)
        if self._traceparent is not None:
            connection.opening = connection.request[:-2]
            request = request[:-2] + self._traceparent(target.game_id)
        try:
            answer = await connection.ask(request)
        except asyncio.CancelledError:
            connection.abort()
            raise
        if not self._keeps_alive(target):
            connection.abort()
        return connection.closing_cause if isinstance(answer, Silence) else answer

    def _keeps_alive(self, target: ProbeTarget) -> bool:
        """After an answer to HEAD nobody can tell where the next one begins: the parser waits for a body."""
        return self._keeps and target.settings.method != "HEAD"


def _is_response(outcome: ProbeOutcome) -> bool:
    """Whether an engine answered, well or badly; a failure without a response leaves room for one."""
    return (
        outcome is HEALTHY
        or (isinstance(outcome, Failed) and outcome.last_status != 0)
        or isinstance(outcome, Inconclusive)
    )
