"""Checking: one probe of each endpoint, outside any store or log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import uvloop
from rich.text import Text

from healthprobe.domain.endpoint import masked
from healthprobe.domain.outcome import OK, Failed, Healthy, Inconclusive, ProbeOutcome
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import target_of
from healthprobe.ports import Prober
from healthprobe.surfaces import terminal
from healthprobe.surfaces.descriptors import raise_descriptor_limit

_VERDICTS: Mapping[bool | None, Text] = {
    True: Text("healthy", terminal.RECOVERED),
    False: Text("failed", terminal.FAILED),
    None: Text("could not tell", terminal.UNCERTAIN),
}


@dataclass(frozen=True, slots=True)
class Check:
    """What one probe gave. `healthy` is None where the prober could not tell; `endpoint` is without credentials."""

    endpoint: str
    healthy: bool | None
    last_status: int
    last_error: str
    duration_ms: float


def check_all(endpoints: Sequence[str], timeout: float) -> list[Check]:
    """Probe all of `endpoints` at once, each within `timeout` seconds; the checks are in their order."""
    raise_descriptor_limit()
    return uvloop.run(_check_all(endpoints, timeout))


def show_checks(checks: Sequence[Check], *, as_json: bool) -> None:
    """A table for people, JSON lines for everything else."""
    if not terminal.people_watch(json_wanted=as_json):
        for each in checks:
            terminal.write_json(asdict(each))
        return
    shown = terminal.table(
        {"endpoint": terminal.FOLDS, "verdict": {}, "took": {"justify": "right"}, "why": terminal.FOLDS}
    )
    for each in checks:
        why, took = terminal.printable(each.last_error), f"{each.duration_ms:.1f} ms"
        shown.add_row(each.endpoint, verdict_text(each), took, why)
    terminal.console_for().print(shown)


async def _check_all(endpoints: Sequence[str], timeout: float) -> list[Check]:
    from healthprobe.probing.http import HttpProber

    prober = HttpProber(keep_connections=False)
    lanes = asyncio.Semaphore(prober.capacity)
    try:
        return await asyncio.gather(*(_check(prober, lanes, endpoint, timeout) for endpoint in endpoints))
    finally:
        await prober.aclose()


async def _check(prober: Prober, lanes: asyncio.Semaphore, endpoint: str, timeout: float) -> Check:
    target = target_of(RuntimeRecord(endpoint, "", endpoint), timeout)
    async with lanes:
        start = time.monotonic()
        outcome = await prober.probe(target)
        took = time.monotonic() - start
    return check_of(endpoint, outcome, took)


def check_of(endpoint: str, outcome: ProbeOutcome, seconds: float) -> Check:
    """What a probe of `endpoint` that took so long comes to."""
    healthy, status, error = _judged(outcome)
    return Check(terminal.printable(masked(endpoint)), healthy, status, error, round(seconds * 1000, 3))


def verdict_text(check: Check) -> Text:
    """The verdict in a coloured word."""
    return _VERDICTS[check.healthy]


def _judged(outcome: ProbeOutcome) -> tuple[bool | None, int, str]:
    match outcome:
        case Healthy():
            return True, OK, ""
        case Failed(status, error):
            return False, status, error
        case Inconclusive(cause):
            return None, 0, f"could not tell: {cause}"
