"""The HTTP prober: one GET of an engine's `/healthz`, judged at the head of the response."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from healthprobe._util.version import __version__
from healthprobe.domain.endpoint import HEALTHZ_PATH, Endpoint
from healthprobe.domain.networks import Networks
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, Inconclusive, ProbeOutcome
from healthprobe.domain.probe.probe_settings import ProbeKind, ProbeSettings
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.answers.expectation import ResponseChecks
from healthprobe.probing.answers.redirect import REDIRECT_LIMIT, Redirect, RedirectRefused, redirected_path
from healthprobe.probing.connection import PROBER_CLOSED, Answer, EngineConnection, NoAnswer
from healthprobe.probing.dialer import Dialer, Progress
from healthprobe.probing.errors import classify_error
from healthprobe.probing.observer import ObservedConnection, Observer, StepReporter
from healthprobe.probing.pool import ConnectionPool, default_budget
from healthprobe.probing.renewal import MAX_AGE
from healthprobe.probing.resolver import CachingResolver, Resolver
from healthprobe.probing.timer_wheel import TimerWheel
from healthprobe.probing.tls import TlsContexts

ALL_NETWORKS = Networks()

_HALF = 0.5
"""The share of the timeout after which a probe on a silent kept connection tries a fresh one as well."""

_USER_AGENT = f"healthprobe/{__version__}"


class HTTPProber:
    """A Prober for `http` and `https` endpoints, made inside the loop on which it probes.

    It keeps one connection per engine, for `keep_alive_max_age` seconds at most and while the engine's name has its
    address, or with `keep_connections=False` opens one per probe. `descriptor_budget` bounds the open connections; the
    default is what the process's limit leaves. `tls` is the context for https; the default trusts the system's roots.
    Nothing is sent to an address outside of `networks`. An answer whose `identity_header`
    names another game is a failure. `traceparent` returns, for a game id, the traceparent header line of a request and
    the empty line after it. `observer` is called with each step of a probe. Proxies in the environment are ignored,
    because a proxy's 200 is not the engine's.
    """

    def __init__(
        self,
        *,
        keep_connections: bool = True,
        keep_alive_max_age: float = MAX_AGE,
        descriptor_budget: int | None = None,
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
        networks: Networks = ALL_NETWORKS,
        identity_header: str | None = None,
        traceparent: Callable[[str], bytes] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._keeps = keep_connections
        self._requests: dict[ProbeTarget, bytes] = {}
        self.pool = ConnectionPool(descriptor_budget or default_budget(), self._requests)
        self._take = self.pool.take
        self._resolver = resolver or CachingResolver()
        self._steps = None if observer is None else StepReporter(observer)
        self.dialer = Dialer(
            self.pool, self._resolver, TlsContexts(tls), networks, max_age=keep_alive_max_age, steps=self._steps
        )
        self._checks = ResponseChecks(identity_header)
        self._wheel = TimerWheel(self._loop)
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
        """The most probes in flight at once."""
        return self.pool.budget

    @property
    def open_connections(self) -> int:
        return len(self.pool)

    async def probe(self, target: ProbeTarget) -> ProbeOutcome:
        """Probes `target` once and ends at most 50 ms after its timeout, whatever the engine does."""
        now, timeout = self._loop.time(), target.timeout
        deadline = now + timeout
        connection = self._take(target)
        if connection is None:
            return await self._probe_afresh(target, deadline)
        try:
            if now >= connection.review_at and await self._is_over(target, connection):
                connection.abort()
                return PROBER_CLOSED if self._closed else await self._probe_afresh(target, deadline)
            request = connection.request
            if self._traceparent is not None:
                request = connection.request_start + self._traceparent(target.game_id)
            answer = await connection.ask(request, now + timeout * _HALF)
            if answer is HEALTHY:
                return HEALTHY
            return await self._conclude(target, connection, answer, deadline)
        except asyncio.CancelledError:
            connection.abort()
            raise

    def forget(self, target: ProbeTarget) -> None:
        """Closes the connection that is kept for `target`."""
        self._requests.pop(target, None)
        self.pool.forget(target)

    async def aclose(self) -> None:
        """Closes every connection and lookup. Probes in flight end inconclusive."""
        self._closed = True
        for limit in self._limits:
            limit.reschedule(self._loop.time())
        self.pool.close()
        await self._resolver.aclose()
        await self.pool.all_closed()

    async def _is_over(self, target: ProbeTarget, connection: EngineConnection) -> bool:
        endpoint = target.endpoint
        return isinstance(endpoint, Failed) or await self.dialer.renewal.is_over(connection, target, endpoint)

    async def _conclude(
        self, target: ProbeTarget, connection: EngineConnection, answer: Answer, deadline: float
    ) -> ProbeOutcome:
        """Returns the outcome for the answer of a kept connection. One closed by the engine meanwhile means nothing."""
        match answer:
            case NoAnswer.CLOSED:
                return await self._probe_afresh(target, deadline)
            case NoAnswer.YET:
                return await self._second_chance(target, connection, deadline)
            case Redirect() as redirect:
                return await self._probe_afresh(target, deadline, redirect)
            case outcome:
                return outcome

    async def _second_chance(self, target: ProbeTarget, connection: EngineConnection, deadline: float) -> ProbeOutcome:
        """Probes on a fresh connection as well; the first response of the two counts.

        The kept one may belong to a process that is gone, or to one that is only slow.
        """
        kept = connection.wait_longer()
        fresh = self._loop.create_task(self._probe_afresh(target, deadline))
        either: set[asyncio.Future[Any]] = {kept, fresh}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not kept.done() and not _is_response(fresh.result()):
                await asyncio.wait({kept}, timeout=deadline - self._loop.time())
            if kept.done() and not isinstance(kept.result(), NoAnswer):
                return await self._conclude(target, connection, kept.result(), deadline)
            outcome = await fresh
            if connection.status and isinstance(outcome, Failed) and outcome.kind is FailureKind.TIMEOUT:
                progress = Progress()
                progress.enter_body(connection.status)
                return progress.timed_out(target.timeout)
            return outcome
        finally:
            fresh.cancel()
            if not kept.done():
                connection.abort()

    async def _probe_afresh(
        self, target: ProbeTarget, deadline: float, redirect: Redirect | None = None
    ) -> ProbeOutcome:
        """Probes on a fresh connection, or follows `redirect` on one, until `deadline`."""
        endpoint = target.endpoint
        if isinstance(endpoint, Failed):
            return endpoint
        if target.settings.kind is not ProbeKind.HTTP:
            return Inconclusive(f"an HTTPProber does not probe the kind {target.settings.kind}: use a ProberByKind")
        progress = Progress()
        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                self._limits.add(limit)
                answer: ProbeOutcome | Redirect
                if redirect is None:
                    request = self._prepare_request(target, endpoint)
                    answer = await self._ask_afresh(target, endpoint, request, progress, deadline)
                else:
                    answer = redirect
                if isinstance(answer, Redirect):
                    return await self._follow(target, endpoint, answer, progress, deadline)
                return answer
        except Exception as error:  # noqa: BLE001  any error of an engine or a bug of ours is an outcome
            if self._closed:
                return PROBER_CLOSED
            return progress.timed_out(target.timeout) if limit.expired() else classify_error(error)
        finally:
            self._limits.discard(limit)

    def _prepare_request(self, target: ProbeTarget, endpoint: Endpoint) -> bytes:
        request = self._requests.get(target)
        if request is None:
            path = probe_path(target, endpoint)
            request = build_request(endpoint, path, target.settings, keep_alive=self._keeps_alive(target))
            self._requests[target] = request
        return request

    async def _follow(
        self, target: ProbeTarget, endpoint: Endpoint, redirect: Redirect, progress: Progress, deadline: float
    ) -> ProbeOutcome:
        """Follows `redirect`, and further redirects, as long as they stay on the same engine."""
        path = probe_path(target, endpoint)
        for _ in range(REDIRECT_LIMIT):
            try:
                path = redirected_path(endpoint, path, redirect.location, target.settings.host)
            except RedirectRefused as refused:
                return Failed(redirect.status, str(refused))
            request = build_request(endpoint, path, target.settings, keep_alive=self._keeps_alive(target))
            answer = await self._ask_afresh(target, endpoint, request, progress, deadline)
            if not isinstance(answer, Redirect):
                return answer
            redirect = answer
        return Failed(redirect.status, f"stopped after {REDIRECT_LIMIT} redirects")

    async def _ask_afresh(
        self, target: ProbeTarget, endpoint: Endpoint, request: bytes, progress: Progress, deadline: float
    ) -> ProbeOutcome | Redirect:
        connection = await self.dialer.connect(
            target, endpoint, progress, deadline, lambda: self._new_connection(target, endpoint)
        )
        progress.enter("waiting for the response head")
        connection.request = self._requests.get(target, request)
        if self._keeps:
            self.dialer.renewal.begin(connection, target, endpoint)
        if self._traceparent is not None:
            connection.request_start = connection.request[:-2]
            request = request[:-2] + self._traceparent(target.game_id)
        try:
            answer = await connection.ask_first(request)
        except asyncio.CancelledError:
            if connection.status:
                progress.enter_body(connection.status)
            connection.abort()
            raise
        if not self._keeps_alive(target):
            connection.finish()
        return connection.close_cause if isinstance(answer, NoAnswer) else answer

    def _new_connection(self, target: ProbeTarget, endpoint: Endpoint) -> EngineConnection:
        check = self._checks.for_target(target)
        if self._steps is None:
            return EngineConnection(target, self.pool, self._wheel, check, self._loop)
        observed = ObservedConnection(target, self.pool, self._wheel, check, self._loop)
        observed.observe(self._steps, endpoint)
        return observed

    def _keeps_alive(self, target: ProbeTarget) -> bool:
        """Returns whether to keep the connection. Not after HEAD, where the parser waits for a body."""
        return self._keeps and target.settings.method != "HEAD"


def _is_response(outcome: ProbeOutcome) -> bool:
    """Returns whether the outcome stands. After a failure without a response the other connection may still answer."""
    return (
        outcome is HEALTHY
        or (isinstance(outcome, Failed) and outcome.last_status != 0)
        or isinstance(outcome, Inconclusive)
    )


def probe_path(target: ProbeTarget, endpoint: Endpoint) -> str:
    """Returns the path to request, below the endpoint's prefix."""
    return endpoint.prefix + (target.settings.path or HEALTHZ_PATH)


def build_request(endpoint: Endpoint, path: str, settings: ProbeSettings, *, keep_alive: bool) -> bytes:
    """Returns the bytes of a request of `path` at `endpoint`."""
    lines = [
        f"{settings.method} {path} HTTP/1.1",
        f"Host: {settings.host or endpoint.authority}",
    ]
    defaults = {"User-Agent": _USER_AGENT, "Accept": "*/*"}
    if settings.expect.reads_body:
        defaults["Accept-Encoding"] = "identity"
    if endpoint.authorization is not None:
        defaults["Authorization"] = endpoint.authorization
    own = {name.lower() for name, _ in settings.headers}
    lines += [f"{name}: {value}" for name, value in defaults.items() if name.lower() not in own]
    lines += [f"{name}: {value}" for name, value in settings.headers]
    if not keep_alive:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
