"""The result of the simulation, and its section of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.table import table

TIMEOUT, THRESHOLD, LEASE = 2.0, 2, 5.0
FAILING = 1_000
"""Each so many-th game fails, until an instance is killed."""


@dataclass(frozen=True, slots=True)
class Course:
    """What is simulated; `interval` in seconds."""

    games: int
    instances: int
    interval: float


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds after the first instance was begun until all shards had one, all games were watched, the log was read for
    all of them, and each was probed."""

    shared: float
    watched: float
    read: float
    probed: float


@dataclass(frozen=True, slots=True)
class Steady:
    """What each instance watched and used while nothing happened: `cores` are shares of one, memory is bytes, now and
    at most. `server` is the same of the server."""

    games: Sequence[int]
    cores: Sequence[float]
    memory: Sequence[int]
    peaks: Sequence[int]
    server_cores: float
    server_memory: float


@dataclass(frozen=True, slots=True)
class Takeover:
    """The games of the instance that was killed, and the seconds after that until its shards were held by others, and
    until each of its games was probed again, in ascending order."""

    shared: float
    probed: Sequence[float]


@dataclass(frozen=True, slots=True)
class Log:
    """Events that had to be there, that are there, and games whose events are not exactly what they had to be."""

    expected: int
    found: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Simulated:
    """All of it. `summaries` are the closing figures of the instances that were not killed."""

    course: Course
    start: Start
    steady: Steady
    takeover: Takeover
    log: Log
    summaries: Sequence[dict[str, Any]]


def report(seen: Simulated, opening: str) -> str:
    """The section of the page."""
    rows = [*_of_start(seen), *_of_steady(seen), *_of_takeover(seen), *_of_log(seen)]
    return "\n\n".join([opening, table(("", ""), rows), _how_to_read(seen.course)])


def _how_to_read(course: Course) -> str:
    return f"""\
`healthprobe run --cluster` with its own worker, leases and log in {course.instances} processes, and one NATS server
that writes to the disk before it acknowledges, all on the two cores of this machine. The list of games is made up in
memory, and so are the responses of their engines: nothing is sent. Every {FAILING:,}th game answers 503, which after
{THRESHOLD} probes is a `probe_failed`; at the moment of the kill -9 all of them recover. The interval is
{course.interval:g} s, the lease {LEASE:g} s."""


def _of_start(seen: Simulated) -> list[tuple[str, str]]:
    start = seen.start
    return [
        ("games", f"{seen.course.games:,}"),
        ("instances", f"{seen.course.instances}"),
        ("all shards held after", f"{start.shared:.1f} s"),
        ("all games watched after", f"{start.watched:.1f} s"),
        ("the log read for all of them after", f"{start.read:.1f} s"),
        ("all games probed after", f"{start.probed:.1f} s"),
    ]


def _of_steady(seen: Simulated) -> list[tuple[str, str]]:
    steady, course = seen.steady, seen.course
    a_game = sum(steady.memory) / course.games
    probes = course.games / course.interval
    return [
        ("games an instance", _each(f"{games:,}" for games in steady.games)),
        ("memory an instance, MB", _each(f"{memory / 1e6:.0f}" for memory in steady.memory)),
        ("at most, MB", _each(f"{memory / 1e6:.0f}" for memory in steady.peaks)),
        ("memory of all instances a game", f"{a_game / 1024:.2f} KiB"),
        ("CPU an instance, of a core", _each(f"{used:.1%}" for used in steady.cores)),
        ("CPU a probe, without the prober's", f"{sum(steady.cores) / probes * 1e6:.1f} us"),
        ("the server's CPU, of a core, and memory", f"{steady.server_cores:.1%}, {steady.server_memory / 1e6:.0f} MB"),
    ]


def _of_takeover(seen: Simulated) -> list[tuple[str, str]]:
    probed, promised = seen.takeover.probed, LEASE + seen.course.interval + 1
    at = [probed[min(int(share * len(probed)), len(probed) - 1)] for share in (0.5, 0.99, 1.0)]
    kept = "" if at[1] <= promised else " **missed**"
    return [
        ("one instance killed: its games", f"{len(probed):,}"),
        ("its shards held by others after", f"{seen.takeover.shared:.1f} s"),
        (
            "its games probed again after, p50 / p99 / max",
            f"{' / '.join(f'{each:.1f}' for each in at)} s{kept}",
        ),
        ("promised: lease + interval + 1 s at p99", f"{promised:g} s"),
    ]


def _of_log(seen: Simulated) -> list[tuple[str, str]]:
    log = seen.log
    exact = "" if log.found == log.expected and not log.wrong else " **wrong**"
    return [
        ("events expected, in the log", f"{log.expected:,}, {log.found:,}{exact}"),
        ("games whose events are not exactly those", f"{log.wrong:,}"),
        ("probes that were inconclusive, of all", f"{_sum(seen, 'inconclusive'):,} of {_sum(seen, 'probes'):,}"),
        ("ticks dropped, of all", f"{_sum(seen, 'dropped_ticks'):,} of {_sum(seen, 'ticks'):,}"),
    ]


def _sum(seen: Simulated, figure: str) -> int:
    return sum(int(summary[figure]) for summary in seen.summaries)


def _each(figures: Iterable[str]) -> str:
    return " / ".join(figures)
