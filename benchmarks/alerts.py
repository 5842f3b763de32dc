"""Measures the cost of labels and alerts where nothing fails: a run with both and one with none, in turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.servers.alertmanager import PROGRAM, AlertmanagerServer

from benchmarks.contenders.contender import Course
from benchmarks.contenders.program import HealthprobeRun
from benchmarks.engines import plain_engines
from benchmarks.measure import Cost, measured, say
from benchmarks.processes import ChildFailed
from benchmarks.table import table

_AT_MOST = 1.02
_LABELS = (("team", "eu"), ("region", "eu-west-1"), ("tier", "gold"))


@dataclass(frozen=True, slots=True)
class Pair:
    """One round: what a probe costs without labels and alerts, and with them."""

    plain: Cost
    alerting: Cost
    notes: Sequence[str]

    @property
    def ratio(self) -> float:
        return self.alerting.cpu_per_probe / self.plain.cpu_per_probe


def pairs_measured(*, engine_count: int, seconds: float, rounds: int) -> list[Pair]:
    """Measures both in turns; prints the progress to standard error. Raises ChildFailed without Alertmanager."""
    if PROGRAM is None:
        raise ChildFailed("Alertmanager is not installed: apt-get install prometheus-alertmanager")
    with (
        TemporaryDirectory(prefix="healthprobe-bench-") as folder,
        plain_engines(Path(folder)) as engines,
        AlertmanagerServer() as receiver,
    ):
        course = Course(engines, engine_count, seconds, Path(folder))
        say(f"{engine_count:,} engines, {engines.kind}; {rounds} rounds of twice {seconds:g} s")
        alerting = HealthprobeRun("file", labels=_LABELS, options=(f"--alert={receiver.url}",))
        return [_round(course, (HealthprobeRun("file"), alerting), number) for number in range(rounds)]


def report(pairs: Sequence[Pair], opening: str) -> str:
    """The section of the page."""
    rows = [
        (f"{number}", f"{pair.plain.cpu_per_probe * 1e6:.1f}", f"{pair.alerting.cpu_per_probe * 1e6:.1f}",
         f"{pair.ratio:.3f}", "; ".join(pair.notes))
        for number, pair in enumerate(pairs, 1)
    ]  # fmt: skip
    plain = median(pair.plain.cpu_per_probe for pair in pairs)
    alerting = median(pair.alerting.cpu_per_probe for pair in pairs)
    ratio = alerting / plain
    verdict = "kept" if ratio <= _AT_MOST else "**missed**"
    if all(any("disturbed" in note for note in pair.notes) for pair in pairs):
        verdict += ", on a machine that was busy in every round: to be measured again on a quiet one"
    promise = (
        f"The medians are {plain * 1e6:.1f} and {alerting * 1e6:.1f} us. The promise is that they differ by at most "
        f"{_AT_MOST - 1:.0%}; their ratio is **{ratio:.3f}**: {verdict}."
    )
    headings = ("round", "without, us a probe", "with, us a probe", "ratio", "notes")
    return "\n\n".join(["## Cost of labels and alerts", opening, table(headings, rows), promise, _how_to_read()])


def _how_to_read() -> str:
    return f"""\
*With* is {len(_LABELS)} labels in the record of each game, and `--alert` with a real Alertmanager. All engines
answer in both runs: what is measured is what labels and alerts cost while nothing is wrong. CPU is user + system of the
whole run; every other round begins with *with*."""


def _round(course: Course, ways: tuple[HealthprobeRun, HealthprobeRun], number: int) -> Pair:
    costs = {way: _cost(way, course) for way in (ways if number % 2 == 0 else ways[::-1])}
    (plain, notes), (alerting, other_notes) = (costs[way] for way in ways)
    pair = Pair(plain, alerting, [*notes, *other_notes])
    say(f"round {number + 1}: {pair.ratio:.3f}")
    return pair


def _cost(contender: HealthprobeRun, course: Course) -> tuple[Cost, Sequence[str]]:
    row = measured(contender, course)
    if row.cost is None:
        raise ChildFailed(f"{row.name}: {'; '.join(row.notes)}")
    return row.cost, [note for note in row.notes if "**" in note]
