"""Tracing: checks whose every step is told on standard error as it happens."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import uvloop
from rich.text import Text

from healthprobe.domain.endpoint import masked
from healthprobe.domain.outcome import Failed, ProbeOutcome
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import target_of
from healthprobe.surfaces import terminal
from healthprobe.surfaces.checking import Check, check_of, verdict_text

if TYPE_CHECKING:
    from healthprobe.probing.trace import Step

_NAME_WIDTH = len("connected")
_TIME_WIDTH = len("2,000.0 ms")


def trace_all(endpoints: Sequence[str], timeout: float) -> list[Check]:
    """Probe `endpoints` one after the other, each within `timeout` seconds, and tell all that happens."""
    return uvloop.run(_trace_all(endpoints, timeout))


async def _trace_all(endpoints: Sequence[str], timeout: float) -> list[Check]:
    from healthprobe.probing.trace import Trace

    checks = []
    for endpoint in endpoints:
        teller = _Teller()
        trace = Trace(teller.tell)
        teller.begin(endpoint)
        try:
            outcome = await trace.probe(target_of(RuntimeRecord(endpoint, "", endpoint), timeout))
        finally:
            await trace.aclose()
        checks.append(check_of(endpoint, outcome, teller.elapsed))
        teller.end(checks[-1], outcome)
    return checks


class _Teller:
    """Writes the steps of one check, each with when it was over, and with how long it took."""

    def __init__(self) -> None:
        self._console = terminal.console_for(stderr=True)
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._start

    def begin(self, endpoint: str) -> None:
        self._write(Text(terminal.printable(masked(endpoint)), "bold"))

    def tell(self, step: Step) -> None:
        first, *others = step.told
        lasted = "" if step.seconds is None else f"  in {_milliseconds(step.seconds)}"
        self._step(step.name, Text.assemble(terminal.printable(first), (lasted, terminal.ASIDE)), others)

    def end(self, check: Check, outcome: ProbeOutcome) -> None:
        """The verdict, and by which rule."""
        told = verdict_text(check).copy()
        if check.last_error:
            told.append(f": {terminal.printable(check.last_error)}", "")
        self._step("verdict", told, [_rule(check, outcome)])

    def _step(self, name: str, first: Text, others: Sequence[str]) -> None:
        at = f"{_milliseconds(self.elapsed):>{_TIME_WIDTH}}"
        self._write(Text.assemble((at, terminal.ASIDE), f"  {name:<{_NAME_WIDTH}}  ", first))
        for line in others:
            self._write(Text(" " * (_TIME_WIDTH + _NAME_WIDTH + 4) + terminal.printable(line), terminal.ASIDE))

    def _write(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)


def _rule(check: Check, outcome: ProbeOutcome) -> str:
    if check.healthy:
        return "a status of 200 is healthy; the body is not waited for"
    if not isinstance(outcome, Failed):
        return "this machine's own fault, so neither healthy nor failed: a run would count it for nothing"
    return "anything but a final 200 within the timeout is a failure" + (
        "" if check.last_status else "; without a response the status is told as 0"
    )


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms"
