"""`healthprobe check`: one probe per endpoint, now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop

from healthprobe._util.duration import Duration, parse_duration
from healthprobe._util.text import printable
from healthprobe.app import terminal
from healthprobe.app.settings import DEFAULT_TIMEOUT
from healthprobe.app.startup import raise_descriptor_limit
from healthprobe.cli import errors, options
from healthprobe.domain.endpoint import masked
from healthprobe.domain.outcome import OK, Failed, Healthy, Inconclusive, ProbeOutcome
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import parse_target
from healthprobe.ports import Prober

if TYPE_CHECKING:
    from rich.text import Text

    from healthprobe.probing.observer import Step


_VERDICTS: Mapping[bool | None, tuple[str, str]] = {
    True: ("healthy", terminal.RECOVERED),
    False: ("failed", terminal.FAILED),
    None: ("inconclusive", terminal.UNCERTAIN),
}
"""The words of the verdicts, and their styles."""


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one probe. `healthy` is None if it is inconclusive; `endpoint` has no credentials."""

    endpoint: str
    healthy: bool | None
    last_status: int
    last_error: str
    duration_ms: float


def check_all(endpoints: Sequence[str], timeout: float) -> list[Check]:
    """Probes the endpoints concurrently and returns their checks in the same order."""
    raise_descriptor_limit()
    return uvloop.run(_check_all(endpoints, timeout))


def show_checks(checks: Sequence[Check], *, as_json: bool) -> None:
    """Writes a table to a terminal, JSON lines elsewhere."""
    if not terminal.people_watch(json_wanted=as_json):
        for each in checks:
            terminal.write_json(asdict(each))
        return
    from rich.text import Text

    shown = terminal.table(
        {"endpoint": terminal.FOLDS, "verdict": {}, "took": {"justify": "right"}, "why": terminal.FOLDS}
    )
    for each in checks:
        why, took = printable(each.last_error), f"{each.duration_ms:.1f} ms"
        shown.add_row(each.endpoint, Text(*_VERDICTS[each.healthy]), took, why)
    terminal.console_for().print(shown)


async def _check_all(endpoints: Sequence[str], timeout: float) -> list[Check]:
    from healthprobe.probing.http import HTTPProber

    prober = HTTPProber(keep_connections=False)
    lanes = asyncio.Semaphore(prober.capacity)
    try:
        return await asyncio.gather(*(_check(prober, lanes, endpoint, timeout) for endpoint in endpoints))
    finally:
        await prober.aclose()


async def _check(prober: Prober, lanes: asyncio.Semaphore, endpoint: str, timeout: float) -> Check:
    target = parse_target(RuntimeRecord(endpoint, "", endpoint), timeout)
    async with lanes:
        start = time.monotonic()
        outcome = await prober.probe(target)
        took = time.monotonic() - start
    return _check_of(endpoint, outcome, took)


def _check_of(endpoint: str, outcome: ProbeOutcome, seconds: float) -> Check:
    healthy, status, error = None, 0, ""
    match outcome:
        case Healthy():
            healthy, status = True, OK
        case Failed(status, error):
            healthy = False
        case Inconclusive(cause):
            error = f"inconclusive: {cause}"
    return Check(printable(masked(endpoint)), healthy, status, error, round(seconds * 1000, 3))


_NAME_WIDTH = len("connected")
_TIME_WIDTH = len("2,000.0 ms")


def trace_all(endpoints: Sequence[str], timeout: float) -> list[Check]:
    """Probes the endpoints one after the other and writes each step to standard error."""
    return uvloop.run(_trace_all(endpoints, timeout))


async def _trace_all(endpoints: Sequence[str], timeout: float) -> list[Check]:
    from healthprobe.probing.http import HTTPProber

    checks = []
    for endpoint in endpoints:
        writer = _StepWriter()
        writer.begin(endpoint)
        async with HTTPProber(keep_connections=False, observer=writer.write_step) as prober:
            outcome = await prober.probe(parse_target(RuntimeRecord(endpoint, "", endpoint), timeout))
        checks.append(_check_of(endpoint, outcome, writer.elapsed))
        writer.end(checks[-1], outcome)
    return checks


class _StepWriter:
    """Writes the steps of one check, each with its end and its duration."""

    def __init__(self) -> None:
        from rich.text import Text

        self._text = Text
        self._console = terminal.console_for(stderr=True)
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._start

    def begin(self, endpoint: str) -> None:
        self._write(self._text(printable(masked(endpoint)), "bold"))

    def write_step(self, step: Step) -> None:
        first, *others = step.lines
        lasted = "" if step.seconds is None else f"  in {_milliseconds(step.seconds)}"
        self._step(step.name, self._text.assemble(printable(first), (lasted, terminal.ASIDE)), others)

    def end(self, check: Check, outcome: ProbeOutcome) -> None:
        why = f": {printable(check.last_error)}" if check.last_error else ""
        self._step("verdict", self._text.assemble(_VERDICTS[check.healthy], why), [_rule(check, outcome)])

    def _step(self, name: str, first: Text, others: Sequence[str]) -> None:
        at = f"{_milliseconds(self.elapsed):>{_TIME_WIDTH}}"
        self._write(self._text.assemble((at, terminal.ASIDE), f"  {name:<{_NAME_WIDTH}}  ", first))
        for line in others:
            self._write(self._text(" " * (_TIME_WIDTH + _NAME_WIDTH + 4) + printable(line), terminal.ASIDE))

    def _write(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)


def _rule(check: Check, outcome: ProbeOutcome) -> str:
    if check.healthy:
        return "a status of 200 is healthy; the body is not waited for"
    if not isinstance(outcome, Failed):
        return "a fault of this machine, so neither healthy nor failed: a run does not count it"
    return "anything but a final 200 within the timeout is a failure" + (
        "" if check.last_status else "; without a response the status is 0"
    )


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms"


CheckTimeout = Annotated[
    Duration,
    typer.Option(
        "--timeout",
        metavar="DURATION",
        envvar=["HEALTHPROBE_TIMEOUT", "RTMANAGER_PROBE_TIMEOUT"],
        parser=parse_duration,
        help="How long an engine has to answer. Units: ms, s, m, h, as in 500ms or 2s.",
    ),
]


def check(
    endpoints: Annotated[
        list[str], typer.Argument(metavar="URL...", help="Engine endpoints; each is asked at URL/healthz.")
    ],
    timeout: CheckTimeout = DEFAULT_TIMEOUT,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            envvar="HEALTHPROBE_VERBOSE",
            help="Write each step to standard error, one URL after the other: name, connection, TLS, request, "
            "response head, verdict.",
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Probe each endpoint once, concurrently; exit 1 if any of them is not healthy.

    With --json, or if standard output is not a terminal: one object per URL, in
    the order given, with endpoint, healthy, last_status (0 without a response),
    last_error (empty if healthy) and duration_ms. If this machine is at fault,
    for example for lack of open files, healthy is null, and the exit code is 1
    as well. Credentials are shown as ***.

    Example: [b]healthprobe check http://10.0.0.7:8080 --verbose[/b]
    """
    checks = trace_all(endpoints, timeout) if verbose else check_all(endpoints, timeout)
    show_checks(checks, as_json=as_json)
    if not all(each.healthy for each in checks):
        raise typer.Exit(errors.BAD)
