"""The trace: one probe, told step by step as it goes, for people who want to know why it gave what it gave."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.outcome import Failed, FailureKind, ProbeOutcome, judge_status
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.answer import closing_cause
from healthprobe.probing.dialer import Progress, is_address, with_number
from healthprobe.probing.errors import outcome_of_error
from healthprobe.probing.head import head_lines, request_lines
from healthprobe.probing.redirect import REDIRECT_LIMIT, REDIRECT_STATUSES, RedirectRefused, redirected_path
from healthprobe.probing.request import request_bytes
from healthprobe.probing.resolver import CachingResolver, Resolver, UnresolvableName
from healthprobe.probing.response import MalformedResponse, ResponseReader

_AT_ONCE = 65536


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened: `name` in a word, `told` in lines that may be shown to anybody, and for how many
    `seconds` it went on, where that says something.
    """

    name: str
    told: tuple[str, ...]
    seconds: float | None


Tell = Callable[[Step], None]


class Trace:
    """Probes with plain streams, a connection each, telling every step: by the engine's own request, reader, trust and
    causes, so that what it tells of and how it ends is what a probe does; but slowly. `tls` is what https trusts.
    """

    def __init__(self, tell: Tell, *, resolver: Resolver | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._tell = tell
        self._resolver = resolver or CachingResolver()
        self._tls = tls

    async def aclose(self) -> None:
        await self._resolver.aclose()

    async def probe(self, target: ProbeTarget) -> ProbeOutcome:
        """One probe, within the timeout of `target`. Never raises for what an engine does."""
        endpoint = target.endpoint
        if isinstance(endpoint, Failed):
            return endpoint
        progress = Progress()
        limit = asyncio.timeout(target.timeout)
        try:
            async with limit:
                return await self._follow(endpoint, progress, self._loop.time() + target.timeout)
        except UnresolvableName as unresolvable:
            return Failed(0, str(unresolvable), FailureKind.NAME)
        except MalformedResponse as malformed:
            return Failed(0, str(malformed), FailureKind.MALFORMED)
        except Exception as error:  # noqa: BLE001  whatever an engine or our own code raises, it is an outcome
            return progress.timed_out(target.timeout) if limit.expired() else outcome_of_error(error)

    async def _follow(self, endpoint: Endpoint, progress: Progress, deadline: float) -> ProbeOutcome:
        """Ask, and ask again where a redirect leads, as long as it stays with the same engine."""
        path, status = endpoint.healthz_path, 0
        for _ in range(REDIRECT_LIMIT + 1):
            answer = await self._ask(endpoint, path, progress, deadline)
            if not isinstance(answer, ResponseReader):
                return answer
            status, location = answer.status, answer.location
            if status not in REDIRECT_STATUSES or location is None:
                return judge_status(status)
            try:
                path = redirected_path(endpoint, path, location)
            except RedirectRefused as refused:
                return Failed(status, str(refused))
        return Failed(status, f"stopped after {REDIRECT_LIMIT} redirects")

    async def _ask(
        self, endpoint: Endpoint, path: str, progress: Progress, deadline: float
    ) -> ResponseReader | ProbeOutcome:
        """The response to one request on a connection of its own, read to the end of its head."""
        reader, writer = await self._connect(endpoint, progress, deadline)
        try:
            if endpoint.scheme == "https":
                await self._shake_hands(endpoint, writer)
            progress.enter("waiting for the response head")
            request = request_bytes(endpoint, path, keep_alive=False)
            writer.write(request)
            self._tell(Step("sent", request_lines(request), None))
            return await self._read(reader, endpoint)
        finally:
            writer.transport.abort()

    async def _connect(
        self, endpoint: Endpoint, progress: Progress, deadline: float
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the first address that takes one; each has an equal share of the time left."""
        if endpoint.socket is not None:
            return await self._connect_to_socket(endpoint.socket, progress)
        addresses = await self._addresses(endpoint, progress)
        progress.enter("connecting and shaking hands over TLS" if endpoint.scheme == "https" else "connecting")
        first_error: OSError | None = None
        for position, address in enumerate(addresses, start=1):
            began, place = perf_counter(), f"[{address}]" if ":" in address else address
            share = (deadline - self._loop.time()) / (len(addresses) - position + 1)
            try:
                async with asyncio.timeout(share if position < len(addresses) else None):
                    opened = await asyncio.open_connection(address, endpoint.port)
            except OSError as error:
                self._step("refused", (f"{place}:{endpoint.port}: {_told(with_number(error))}",), began)
                first_error = first_error or with_number(error)
            else:
                self._step("connected", (f"to {place}:{endpoint.port}",), began)
                return opened
        raise first_error or OSError(errno.EHOSTUNREACH, "no address")

    async def _connect_to_socket(
        self, path: str, progress: Progress
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        progress.enter("connecting")
        began = perf_counter()
        try:
            opened = await asyncio.open_unix_connection(path)
        except OSError as error:
            self._step("refused", (f"{path}: {_told(error)}",), began)
            raise
        self._step("connected", (f"to the socket {path}",), began)
        return opened

    async def _addresses(self, endpoint: Endpoint, progress: Progress) -> tuple[str, ...]:
        if is_address(endpoint.host):
            return (endpoint.host,)
        progress.enter("resolving the name")
        began = perf_counter()
        addresses = await self._resolver.addresses(endpoint.host)
        self._step("resolved", (f"{endpoint.host} to {', '.join(addresses)}",), began)
        return addresses

    async def _shake_hands(self, endpoint: Endpoint, writer: asyncio.StreamWriter) -> None:
        began = perf_counter()
        await writer.start_tls(self._tls or ssl.create_default_context(), server_hostname=endpoint.host)
        shaken: Any = writer.get_extra_info("ssl_object")
        self._step("TLS", _of_tls(shaken), began)

    async def _read(self, reader: asyncio.StreamReader, endpoint: Endpoint) -> ResponseReader | ProbeOutcome:
        response, received, began = ResponseReader(), b"", perf_counter()
        try:
            while not response.status:
                data = await reader.read(_AT_ONCE)
                if not data:
                    return closing_cause(None, in_head=response.began)
                received += data
                response.feed(data)
        except OSError as error:
            return closing_cause(error, in_head=response.began)
        finally:
            if received:
                self._step("received", head_lines(received, endpoint), began)
        return response

    def _step(self, name: str, told: tuple[str, ...], began: float) -> None:
        self._tell(Step(name, told, perf_counter() - began))


def _told(error: OSError) -> str:
    outcome = outcome_of_error(error)
    return outcome.last_error if isinstance(outcome, Failed) else getattr(outcome, "cause", "")


def _of_tls(shaken: Any) -> tuple[str, ...]:
    """What was agreed on, and the certificate: whom it is for and until when."""
    if shaken is None:
        return ("agreed",)
    certificate = shaken.getpeercert() or {}
    names = ", ".join(str(value) for _, value in certificate.get("subjectAltName", ()))
    until = certificate.get("notAfter", "")
    return (f"{shaken.version()}", *([f"certificate for {names}, until {until}"] if names else []))
