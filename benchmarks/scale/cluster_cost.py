"""Measures the cost of a cluster: a probe of an instance in a cluster and of an instance alone, in turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.contenders.contender import Course
from benchmarks.contenders.program import HealthprobeRun
from benchmarks.engines import cheapest_engines
from benchmarks.measure import Cost, measured, say
from benchmarks.processes import ChildFailed
from benchmarks.scale.spent import servers
from benchmarks.table import table

_AT_MOST = 1.1


@dataclass(frozen=True, slots=True)
class Pair:
    """One round: what each of both cost, and the share of a core that the cluster's NATS server used meanwhile."""

    alone: Cost
    shared: Cost
    server: float
    notes: Sequence[str]

    @property
    def ratio(self) -> float:
        return self.shared.cpu_per_probe / self.alone.cpu_per_probe


def pairs_measured(*, engine_count: int, seconds: float, rounds: int) -> list[Pair]:
    """Measure both in turns, telling on standard error how far it is."""
    with TemporaryDirectory(prefix="healthprobe-bench-") as folder, cheapest_engines(Path(folder)) as engines:
        course = Course(engines, engine_count, seconds, Path(folder))
        say(f"{engine_count:,} engines, {engines.kind}; {rounds} rounds of twice {seconds:g} s")
        return [_round(course, number) for number in range(rounds)]


def report(pairs: Sequence[Pair], opening: str) -> str:
    """The section of the page."""
    rows = [_row(f"{number}", pair) for number, pair in enumerate(pairs, 1)]
    ratio = median(pair.ratio for pair in pairs)
    verdict = "kept" if ratio <= _AT_MOST else "**missed**"
    promise = f"The promise is a median of at most {_AT_MOST:g}; it is **{ratio:.2f}**: {verdict}."
    headings = ("round", "alone, us a probe", "in a cluster, us a probe", "ratio", "NATS, of a core", "notes")
    return "\n\n".join([opening, table(headings, rows), promise, _HOW_TO_READ])


_HOW_TO_READ = """\
`healthprobe run` probes each engine once a second, its records in a file: alone, with its log in SQLite, and as the one
instance of a cluster, which holds all leases, with its log in JetStream. CPU is user + system of the whole process;
NATS, one node on the same machine, is counted apart. Every other round begins with the cluster."""


def _round(course: Course, number: int) -> Pair:
    if number % 2 == 0:
        alone = _cost(HealthprobeRun("file"), course)
        shared, server = _shared(course)
    else:
        shared, server = _shared(course)
        alone = _cost(HealthprobeRun("file"), course)
    pair = Pair(alone[0], shared[0], server, [*alone[1], *shared[1]])
    say(f"round {number + 1}: {pair.ratio:.3f}")
    return pair


def _shared(course: Course) -> tuple[tuple[Cost, Sequence[str]], float]:
    with servers(1, sync="always") as kept, kept.spending() as spent:
        cost = _cost(HealthprobeRun("file", cluster=kept.url), course)
    return cost, spent.servers / spent.wall


def _cost(contender: HealthprobeRun, course: Course) -> tuple[Cost, Sequence[str]]:
    row = measured(contender, course)
    if row.cost is None:
        raise ChildFailed(f"{row.name}: {'; '.join(row.notes)}")
    return row.cost, [note for note in row.notes if "**" in note]


def _row(number: str, pair: Pair) -> tuple[str, ...]:
    alone, shared = (f"{cost.cpu_per_probe * 1e6:.1f}" for cost in (pair.alone, pair.shared))
    return number, alone, shared, f"{pair.ratio:.3f}", f"{pair.server:.1%}", "; ".join(pair.notes)
