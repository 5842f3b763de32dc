"""Measures the cost of the options of the verdict: a run with all of them and one with none, in turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.contenders.contender import Course
from benchmarks.contenders.program import HealthprobeRun
from benchmarks.engines import plain_engines
from benchmarks.measure import Cost, measured, say
from benchmarks.processes import ChildFailed
from benchmarks.table import table

_AT_MOST = 1.15
IDENTITY = "X-Game-ID"


@dataclass(frozen=True, slots=True)
class Pair:
    """One round: what a probe costs with no option, and with all of them."""

    plain: Cost
    cautious: Cost
    notes: Sequence[str]

    @property
    def ratio(self) -> float:
        return self.cautious.cpu_per_probe / self.plain.cpu_per_probe


def pairs_measured(*, engine_count: int, seconds: float, rounds: int) -> list[Pair]:
    """Measures both in turns; prints the progress to standard error."""
    with (
        TemporaryDirectory(prefix="healthprobe-bench-") as folder,
        plain_engines(Path(folder), identity=True) as engines,
    ):
        course = Course(engines, engine_count, seconds, Path(folder))
        say(f"{engine_count:,} engines, {engines.kind}; {rounds} rounds of twice {seconds:g} s")
        return [_round(course, number) for number in range(rounds)]


def report(pairs: Sequence[Pair], opening: str) -> str:
    """The section of the page."""
    rows = [
        (f"{number}", f"{pair.plain.cpu_per_probe * 1e6:.1f}", f"{pair.cautious.cpu_per_probe * 1e6:.1f}",
         f"{pair.ratio:.3f}", "; ".join(pair.notes))
        for number, pair in enumerate(pairs, 1)
    ]  # fmt: skip
    ratio = median(pair.ratio for pair in pairs)
    verdict = "kept" if ratio <= _AT_MOST else "**missed**"
    promise = f"The promise is a median of at most {_AT_MOST:g}; it is **{ratio:.2f}**: {verdict}."
    headings = ("round", "no option, us a probe", "every option, us a probe", "ratio", "notes")
    return "\n\n".join(["## Cost of the verdict's options", opening, table(headings, rows), promise, _how_to_read()])


def options(port: int) -> tuple[str, ...]:
    """Returns all options of the verdict, for engines at this port."""
    return (
        f"--canary=http://127.0.0.1:{port}/",
        "--hold=50%",
        "--confirm=250ms",
        "--successes=2",
        "--grace=10s",
        "--flap=6/1h",
        f"--identity-header={IDENTITY}",
        "--deny-network=169.254.0.0/16",
    )


def _how_to_read() -> str:
    return f"""\
*Every option* is `{" ".join(options(18080))}`.
All engines answer, and name their game in the header that is asked for, in both runs. CPU is user + system of the
whole run; every other round begins with *every option*."""


def _round(course: Course, number: int) -> Pair:
    ways = (HealthprobeRun("file"), HealthprobeRun("file", options=options(course.engines.port)))
    costs = {way: _cost(way, course) for way in (ways if number % 2 == 0 else ways[::-1])}
    (plain, notes), (cautious, other_notes) = (costs[way] for way in ways)
    pair = Pair(plain, cautious, [*notes, *other_notes])
    say(f"round {number + 1}: {pair.ratio:.3f}")
    return pair


def _cost(contender: HealthprobeRun, course: Course) -> tuple[Cost, Sequence[str]]:
    row = measured(contender, course)
    if row.cost is None:
        raise ChildFailed(f"{row.name}: {'; '.join(row.notes)}")
    return row.cost, [note for note in row.notes if "**" in note]
