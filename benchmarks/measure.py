"""The measurement: what a contender's process used in its steady state, divided by what its engines were asked."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.contenders.contender import Contender, Course, Missing, Probing
from benchmarks.machine import Others
from benchmarks.processes import ChildFailed, CpuTime, cpu_time, peak_memory, resident_memory

_LONGEST_WARM_UP = 90.0
_DISTURBED = 0.1
"""How much of a core others may use before a figure is marked as disturbed."""
_ON_PACE = 0.98
"""The share of its pace below which a paced contender is said to fall behind."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a contender was measured to need. Times are seconds, memory is bytes."""

    probes: int
    seconds: float
    cpu: CpuTime
    peak_memory: int
    memory_per_connection: float | None
    failed: int

    @property
    def rate(self) -> float:
        return self.probes / self.seconds

    @property
    def cpu_per_probe(self) -> float:
        return self.cpu.total / self.probes


@dataclass(frozen=True, slots=True)
class Row:
    """One contender's line in the table. `cost` is None where it could not be measured; the notes say why."""

    name: str
    connections: Literal["kept", "fresh"]
    engine_count: int | None
    cost: Cost | None
    notes: Sequence[str]


def measured(contender: Contender, course: Course) -> Row:
    """Run `contender` over `course`. An error goes to its row, and stops no other."""
    try:
        with contender.probing(course) as probing:
            _warm_up(probing)
            taken = _sample(probing, course.seconds)
    except Missing as missing:
        return Row(contender.name, contender.connections, None, None, [str(missing)])
    except (ChildFailed, OSError) as error:
        return Row(contender.name, contender.connections, None, None, [f"could not be measured: {error}"])
    cost = Cost(*taken, failed=probing.failed or 0)
    return Row(
        contender.name, contender.connections, probing.engine_count, cost, [*_cautions(probing, cost), *probing.notes]
    )


def _warm_up(probing: Probing) -> None:
    begun_at = probing.engines.requests()
    deadline = time.monotonic() + _LONGEST_WARM_UP
    while (asked := probing.engines.requests() - begun_at) < probing.warm_up:
        probing.child.require_alive()
        if time.monotonic() > deadline:
            probing.notes.append(f"not warm after {_LONGEST_WARM_UP:g}s: {asked:,} of {probing.warm_up:,} probes")
            return
        time.sleep(0.1)


def _sample(probing: Probing, seconds: float) -> tuple[int, float, CpuTime, int, float | None]:
    """Probes, seconds and CPU of a window of about `seconds`; then the peak and what a kept connection takes."""
    pid = probing.child.pid
    others = Others()
    cpu_before, asked_before, began = cpu_time(pid), probing.engines.requests(), time.monotonic()
    time.sleep(seconds)
    probing.child.require_alive()
    cpu_after, asked_after, ended = cpu_time(pid), probing.engines.requests(), time.monotonic()
    if (share := others.share()) > _DISTURBED:
        probing.notes.append(f"**disturbed**: others used {share:.0%} of a core meanwhile")
    per_connection = None
    if probing.memory_before is not None:
        per_connection = (resident_memory(pid) - probing.memory_before) / probing.engine_count
    asked = asked_after - asked_before - 1  # the second question is one of them
    return max(asked, 1), ended - began, cpu_after - cpu_before, peak_memory(pid), per_connection


def _cautions(probing: Probing, cost: Cost) -> list[str]:
    cautions = []
    if cost.failed:
        cautions.append(f"**{cost.failed:,} FAILED**")
    due = probing.engine_count / probing.interval
    if probing.paced and probing.engine_count > 1 and cost.rate < _ON_PACE * due:
        cautions.append(f"**falls behind**: {cost.rate:,.0f} of {due:,.0f} probes a second")
    return cautions


def in_words(row: Row) -> str:
    """A row in one line of progress."""
    if row.cost is None:
        return f"{row.name}: {'; '.join(row.notes)}"
    return f"{row.name}: {row.cost.cpu_per_probe * 1e6:.1f} us a probe, {row.cost.rate:,.0f} probes/s"


def say(line: str) -> None:
    """Progress, on standard error: standard output is for the table."""
    print(line, file=sys.stderr, flush=True)
