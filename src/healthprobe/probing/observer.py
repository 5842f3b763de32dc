"""Reports the steps of a probe to a callback while it runs, for `healthprobe check --verbose`."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from healthprobe._util.text import shorten
from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.outcome import Failed, sanitize_error
from healthprobe.probing.connection import Answer, EngineConnection
from healthprobe.probing.errors import classify_error

MAX_LINES = 40
MAX_LINE_LENGTH = 200

_SECRET = re.compile(
    r"^((?:proxy-)?authorization|(?:set-)?cookie2?|x-api-key|[a-z-]*(?:token|secret|password)[a-z-]*)\s*:.*",
    re.IGNORECASE,
)
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_END_OF_LINE = re.compile(rb"\r?\n")
_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a probe: a word, lines without secrets, and how many `seconds` it took, or None for an instant."""

    name: str
    lines: tuple[str, ...]
    seconds: float | None


Observer = Callable[[Step], None]


class StepReporter:
    """Turns what happens during a probe into steps. Each step's time runs from the end of the step before it."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._last = perf_counter()
        self._is_connected = False

    def begin(self) -> None:
        self._last = perf_counter()

    def resolved(self, host: str, addresses: tuple[str, ...]) -> None:
        self._report("resolved", f"{host} to {', '.join(addresses)}")

    def connected(self, endpoint: Endpoint, address: str) -> None:
        self._is_connected = True
        socket = "the socket " if endpoint.socket is not None else ""
        self._report("connected", f"to {socket}{_place(endpoint, address)}")

    def failed_to_open(self, endpoint: Endpoint, address: str, error: OSError) -> None:
        """Reports a refused connection. The verdict names what goes wrong after it was made."""
        if self._is_connected:
            self._is_connected = False
            return
        outcome = classify_error(error)
        cause = outcome.last_error if isinstance(outcome, Failed) else outcome.cause
        self._report("refused", f"{_place(endpoint, address)}: {cause}")

    def shook_hands(self, ssl_object: Any) -> None:
        """Reports the TLS version and the certificate: its names and its end."""
        if ssl_object is None:
            self._report("TLS", "agreed")
            return
        certificate = ssl_object.getpeercert() or {}
        names = ", ".join(str(value) for _, value in certificate.get("subjectAltName", ()))
        until = certificate.get("notAfter", "")
        self._report("TLS", f"{ssl_object.version()}", *([f"certificate for {names}, until {until}"] if names else []))

    def sent(self, request: bytes) -> None:
        self._is_connected = False
        self._observer(Step("sent", _lines(request.rstrip(b"\r\n"), ()), None))
        self._last = perf_counter()

    def received(self, data: bytes, endpoint: Endpoint) -> None:
        """Reports all heads received, interim responses' too. Echoed credentials of ours show as ***."""
        heads = _END_OF_HEAD.split(data)
        is_head = [head.startswith(b"HTTP/") for head in heads]
        count = is_head.index(False) if False in is_head else len(heads)
        self._report("received", *_lines(b"\n".join(heads[: max(count, 1)]), _secrets(endpoint)))

    def _report(self, name: str, *lines: str) -> None:
        now = perf_counter()
        self._observer(Step(name, lines, now - self._last))
        self._last = now


class ObservedConnection(EngineConnection):
    """A connection that reports each request and what was received for it."""

    __slots__ = ("_endpoint", "_received", "_steps")

    def observe(self, steps: StepReporter, endpoint: Endpoint) -> None:
        self._steps = steps
        self._endpoint = endpoint
        self._received = b""

    def ask(self, request: bytes, until: float | None = None) -> asyncio.Future[Answer]:
        self._steps.sent(request)
        return super().ask(request, until)

    def data_received(self, data: bytes) -> None:
        self._received += data
        super().data_received(data)

    def _answer(self, answer: Answer) -> None:
        if self._received:
            self._steps.received(self._received, self._endpoint)
            self._received = b""
        super()._answer(answer)


def _place(endpoint: Endpoint, address: str) -> str:
    if endpoint.socket is not None:
        return address
    return f"[{address}]:{endpoint.port}" if ":" in address else f"{address}:{endpoint.port}"


def _lines(text: bytes, secrets: tuple[str, ...]) -> tuple[str, ...]:
    lines = _END_OF_LINE.split(text.strip(b"\r\n"))
    shown = [_show(line, secrets) for line in lines[:MAX_LINES]]
    if (more := len(lines) - MAX_LINES) > 0:
        shown.append(f"… and {more:,} more lines")
    return tuple(shown)


def _show(line: bytes, secrets: tuple[str, ...]) -> str:
    text = line.decode("latin-1")
    for secret in secrets:
        text = text.replace(secret, "***")
    return shorten(sanitize_error(_SECRET.sub(r"\1: ***", text)), MAX_LINE_LENGTH)


def _secrets(endpoint: Endpoint) -> tuple[str, ...]:
    """Returns our credentials as a head may contain them: encoded, and the password alone."""
    if endpoint.authorization is None:
        return ()
    encoded = endpoint.authorization.partition(" ")[2]
    password = b64decode(encoded).partition(b":")[2].decode("latin-1")
    return tuple(secret for secret in (encoded, password) if len(secret) >= _SHORTEST_SECRET)
