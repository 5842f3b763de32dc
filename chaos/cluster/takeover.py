"""Takeover: how long engines go unprobed when an instance dies or stops, and how many shards move when one joins."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.table import table
from tests.servers.nats import NatsCluster

from chaos.cluster.watch import Pace, Watch, watch
from chaos.cluster.witness import Witnesses
from chaos.runner import Say
from healthprobe.domain.shard import SHARDS


@dataclass(frozen=True, slots=True)
class Part:
    """One pace, and how often an instance is killed, is stopped, and joins as the fourth."""

    pace: Pace
    kills: int
    stops: int
    joins: int = 0


@dataclass(frozen=True, slots=True)
class TakeoverForm:
    engines: int
    parts: tuple[Part, ...]


DEFAULT_PACE = Pace(lease=5.0, interval=5.0, timeout=2.0)

SHORT = TakeoverForm(60, (Part(Pace(lease=1.0, interval=0.5, timeout=0.2), kills=1, stops=1, joins=1),))
LONG = TakeoverForm(
    900,
    (
        Part(Pace(lease=2.0, interval=1.0, timeout=0.5), kills=50, stops=20),
        Part(DEFAULT_PACE, kills=5, stops=3, joins=3),
    ),
)

JOINED_WITHIN = 10.0
MOST_MOVED = SHARDS // 3


@dataclass(slots=True)
class Blindness:
    """Seconds until each orphaned engine was probed again; `promised` is for the 99th percentile."""

    what: str
    pace: Pace
    promised: float
    times: int = 0
    seconds: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        return sorted(self.seconds)[min(int(len(self.seconds) * share), len(self.seconds) - 1)]

    @property
    def holds(self) -> bool:
        return self.quantile(0.99) <= self.promised


@dataclass(frozen=True, slots=True)
class Joined:
    """A fourth instance was started: the seconds until each held its share, and how many shards moved."""

    pace: Pace
    seconds: float
    moved: int

    @property
    def holds(self) -> bool:
        return self.seconds <= JOINED_WITHIN and self.moved <= MOST_MOVED


@dataclass(slots=True)
class Measured:
    blindnesses: list[Blindness] = field(default_factory=list)
    joined: list[Joined] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return all(each.holds for each in self.blindnesses) and all(each.holds for each in self.joined)


async def measured(form: TakeoverForm, say: Say) -> Measured:
    """Measures and leaves nothing running. Raises WaitedTooLong if no instance takes over."""
    result = Measured()
    say(f"{form.engines} engines, three instances, three NATS nodes; the servers start")
    with (
        TemporaryDirectory(prefix="healthprobe-takeover-") as folder,
        NatsCluster() as nats,
        Witnesses(form.engines) as witnesses,
    ):
        for number, part in enumerate(form.parts):
            home, prefix = Path(folder) / f"part-{number}", f"part-{number}"
            async with watch(witnesses, nats, home, prefix, part.pace) as three:
                await _measure(part, three, result, say)
    return result


async def _measure(part: Part, three: Watch, result: Measured, say: Say) -> None:
    pace = part.pace
    await three.is_shared()
    killed = Blindness("kill -9 of one of three", pace, pace.lease + pace.interval + 1.0)
    stopped = Blindness("clean stop of one of three", pace, pace.interval + 1.0)
    for blindness, number, times in ((killed, signal.SIGKILL, part.kills), (stopped, signal.SIGTERM, part.stops)):
        for _ in range(times):
            latest = await _end_one(three, number, blindness)
            say(f"{blindness.what}, {blindness.times} of {times}: at the latest after {latest:.2f}s")
        if times:
            result.blindnesses.append(blindness)
    for _ in range(part.joins):
        result.joined.append(await _join(three, pace))
        say(f"a fourth joined: {result.joined[-1].seconds:.1f}s, {result.joined[-1].moved} shards moved")


async def _end_one(three: Watch, number: signal.Signals, blindness: Blindness) -> float:
    """Returns the seconds until the last of the orphaned engines was probed."""
    victim = random.choice([program for program in three.programs if program.is_present])
    orphans = three.asked_by(victim)
    ended_at = time.monotonic()
    victim.stay_away(number)
    seconds = await three.are_asked(orphans, since=ended_at)
    blindness.seconds += seconds
    blindness.times += 1
    victim.come_back()
    await three.is_shared()
    return max(seconds)


async def _join(three: Watch, pace: Pace) -> Joined:
    fourth = three.programs[-1]
    before = await three.holders()
    fourth.come_back()
    seconds = await three.is_shared()
    after = await three.holders()
    moved = SHARDS - sum(len(shards & after.get(instance, frozenset())) for instance, shards in before.items())
    fourth.stay_away(signal.SIGTERM)
    await three.is_shared()
    return Joined(pace, seconds, moved)


def report(found: Measured) -> str:
    blind = [
        (
            each.what, f"{each.pace.lease:g} s", f"{each.pace.interval:g} s", f"{each.times}",
            f"{len(each.seconds):,}", *(f"{each.quantile(share):.2f} s" for share in (0.5, 0.99)),
            f"{max(each.seconds):.2f} s", f"{each.promised:g} s", "yes" if each.holds else "**no**",
        )
        for each in found.blindnesses
    ]  # fmt: skip
    blind.append(("consul-esm, as documented", "", "", "", "", "", "", "15 to 115 s", "", ""))
    return "\n\n".join([_TITLE + "\n" + table(_HEADINGS, blind), *_report_of_joins(found.joined)])


def _report_of_joins(joined: Sequence[Joined]) -> list[str]:
    if not joined:
        return []
    rows = [
        (
            f"{each.pace.lease:g} s", f"{each.seconds:.1f} s", f"{JOINED_WITHIN:g} s",
            f"{each.moved} of {SHARDS}", f"{MOST_MOVED}", "yes" if each.holds else "**no**",
        )
        for each in joined
    ]  # fmt: skip
    return [_JOINING + "\n" + table(_HEADINGS_OF_JOINED, rows)]


_TITLE = """\
## Takeover: how long

How long an engine is not probed, by the engines' own record: from the end of the instance that probed it until another
probes it. The promise, for 99 of 100 engines, is lease + interval + 1 s after a kill, interval + 1 s after a clean
stop.
"""

_HEADINGS = (
    "fault", "lease", "interval", "times", "orphaned engines", "p50", "p99", "max", "promised p99", "kept",
)  # fmt: skip

_JOINING = """\
A fourth instance joins three: from its start as a process until each of the four holds its share of the shards.
"""

_HEADINGS_OF_JOINED = ("lease", "shared after", "promised", "shards moved", "at most", "kept")
