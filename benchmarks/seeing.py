"""Measures the cost of page, metrics and traces: a run with and without readers, and a page of very many games."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from tests.servers.ports import free_port

from benchmarks.contenders.contender import Course
from benchmarks.contenders.program import HealthprobeRun
from benchmarks.engines import cheapest_engines, is_taken
from benchmarks.measure import Cost, measured, say
from benchmarks.processes import ChildFailed, running
from benchmarks.table import table

_AT_MOST = 1.1
_LARGEST_PAGE = 3_000_000
_MOST_AT_REST = 50_000
_FIRST_PAINT = 2.0
_SLOW_INTERVAL = 30.0


@dataclass(frozen=True, slots=True)
class Round:
    """What a probe costs without a reader; with `--listen`, two streams and a scrape every 5 s; and with `--otlp`
    besides all that.
    """

    unseen: Cost
    seen: Cost
    traced: Cost
    notes: Sequence[str]

    @property
    def ratio(self) -> float:
        return self.seen.cpu_per_probe / self.unseen.cpu_per_probe

    @property
    def traced_ratio(self) -> float:
        return self.traced.cpu_per_probe / self.unseen.cpu_per_probe


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late the probes of one pass began: the median and the 99th percentile, in seconds."""

    median: float
    worst: float


@dataclass(frozen=True, slots=True)
class Large:
    """Very many games: how long all cells take to come, how large they are, what a stream sends a second at rest, and
    how late probes began before a page was open and meanwhile.
    """

    games: int
    cells_seconds: float
    cells_bytes: int
    bytes_a_second: float
    page_bytes: int
    unseen: Lateness
    seen: Lateness


@dataclass(frozen=True, slots=True)
class Seen:
    rounds: Sequence[Round]
    large: Large


def seen(*, engine_count: int, games: int, seconds: float, rounds: int) -> Seen:
    """Measure both, telling on standard error how far it is."""
    with TemporaryDirectory(prefix="healthprobe-bench-") as folder, cheapest_engines(Path(folder)) as engines:
        course = Course(engines, engine_count, seconds, Path(folder))
        say(f"{engine_count:,} engines, {engines.kind}; {rounds} rounds of thrice {seconds:g} s")
        measured_rounds = [_round(course, number) for number in range(rounds)]
        say(f"{games:,} games, every {_SLOW_INTERVAL:g} s")
        return Seen(measured_rounds, _large(Course(engines, games, seconds, Path(folder))))


def report(found: Seen, opening: str) -> str:
    """The section of the page."""
    rows = [
        (f"{number}", *(f"{cost.cpu_per_probe * 1e6:.1f}" for cost in (each.unseen, each.seen, each.traced)),
         f"{each.ratio:.3f}", f"{each.traced_ratio:.3f}", "; ".join(each.notes))
        for number, each in enumerate(found.rounds, 1)
    ]  # fmt: skip
    ratio = median(each.ratio for each in found.rounds)
    traced = median(each.traced_ratio for each in found.rounds)
    large = found.large
    promise = (
        f"The promise is a median of at most {_AT_MOST:g}: seen it is **{ratio:.2f}**, {_kept(ratio <= _AT_MOST)}; "
        f"seen and traced **{traced:.2f}**, {_kept(traced <= _AT_MOST)}."
    )
    of_large = [
        ("all cells, to the last byte", f"{large.cells_seconds:.2f} s", f"{_FIRST_PAINT:g} s to the first paint",
         _kept(large.cells_seconds < _FIRST_PAINT)),
        ("cells and the page's own files, as sent", f"{(large.cells_bytes + large.page_bytes) / 1e6:.2f} MB",
         f"{_LARGEST_PAGE / 1e6:g} MB", _kept(large.cells_bytes + large.page_bytes < _LARGEST_PAGE)),
        ("live updates at rest", f"{large.bytes_a_second / 1e3:.1f} KB/s", f"{_MOST_AT_REST / 1e3:g} KB/s",
         _kept(large.bytes_a_second < _MOST_AT_REST)),
        ("start late, median", f"{large.seen.median * 1e3:.1f} ms",
         f"unseen {large.unseen.median * 1e3:.1f} ms", _kept(large.seen.median <= 1.1 * large.unseen.median)),
        ("start late, 99th percentile", f"{large.seen.worst * 1e3:.1f} ms",
         f"unseen {large.unseen.worst * 1e3:.1f} ms", _kept(large.seen.worst <= 1.1 * large.unseen.worst)),
    ]  # fmt: skip
    return "\n\n".join(
        [
            "## What the page, the metrics and traces cost",
            opening,
            table(("round", "unseen, us a probe", "seen", "seen and traced", "ratio", "traced", "notes"), rows),
            promise,
            f"{large.games:,} games, every {_SLOW_INTERVAL:g} s:",
            table(("what", "measured", "at most", "kept"), of_large),
            _HOW_TO_READ,
        ]
    )


_HOW_TO_READ = """\
*Seen* is `healthprobe run --listen` with all that the open page asks for, read by a process of its own (all cells, both
streams), and a scrape of `/metrics` every 5 s; *traced* also sends metrics and spans to a collector, and names a span
in every request. CPU is user + system of the whole run; every other round is measured in the opposite order. How
late probes start comes from the metrics of one run: of a whole tick before a page is open, and of one meanwhile."""


def _kept(holds: bool) -> str:  # noqa: FBT001
    return "kept" if holds else "**missed**"


def _round(course: Course, number: int) -> Round:
    ways = (_unseen, _seen, _traced)
    costs = {way: way(course) for way in (ways if number % 2 else ways[::-1])}
    unseen, seen, traced = (costs[way][0] for way in ways)
    found = Round(unseen, seen, traced, [note for way in ways for note in costs[way][1]])
    say(f"round {number + 1}: {found.ratio:.3f}, traced {found.traced_ratio:.3f}")
    return found


def _unseen(course: Course) -> tuple[Cost, Sequence[str]]:
    return _cost(HealthprobeRun("file"), course)


def _seen(course: Course, otlp: str | None = None) -> tuple[Cost, Sequence[str]]:
    port = free_port()
    with _reader(port):
        return _cost(HealthprobeRun("file", listen=port, otlp=otlp), course)


def _traced(course: Course) -> tuple[Cost, Sequence[str]]:
    port = free_port()
    with running([sys.executable, "-m", "benchmarks.collector", str(port)], course.workspace) as collector:
        collector.wait_until(lambda: is_taken(port))
        return _seen(course, f"http://127.0.0.1:{port}")


def _cost(contender: HealthprobeRun, course: Course) -> tuple[Cost, Sequence[str]]:
    row = measured(contender, course)
    if row.cost is None:
        raise ChildFailed(f"{row.name}: {'; '.join(row.notes)}")
    return row.cost, [note for note in row.notes if "**" in note]


def _large(course: Course) -> Large:
    port = free_port()
    page = sum(file.stat().st_size for file in Path("src/healthprobe/web/static").iterdir() if file.is_file())
    before_it = course.engines.requests()
    with HealthprobeRun("file", interval=_SLOW_INTERVAL, listen=port).probing(course) as probing:
        all_asked = before_it + course.engine_count
        probing.child.wait_until(lambda: course.engines.requests() > all_asked, 4 * _SLOW_INTERVAL)
        unseen = _lateness_of_a_pass(port)
        with _reader(port) as report_now:
            time.sleep(3)
            before = report_now()
            seen = _lateness_of_a_pass(port)
            after = report_now()
    at_rest = (after["bytes"]["stream"] - before["bytes"].get("stream", 0)) / _SLOW_INTERVAL
    return Large(course.engine_count, after["cells_s"][0], after["bytes"]["cells"], at_rest, page, unseen, seen)


def _lateness_of_a_pass(port: int) -> Lateness:
    before = _late(port)
    time.sleep(_SLOW_INTERVAL)
    counts = {bound: count - before[bound] for bound, count in _late(port).items()}
    return Lateness(_quantile(counts, 0.5), _quantile(counts, 0.99))


def _late(port: int) -> dict[float, float]:
    """How many probes began at most so many seconds late, by `/metrics`."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    name = "healthprobe_probe_lateness_seconds"
    samples = next(family.samples for family in families if family.name == name)
    return {float(each.labels["le"]): each.value for each in samples if each.name == f"{name}_bucket"}


def _quantile(counts: Mapping[float, float], share: float) -> float:
    """By linear interpolation in its bucket, as Prometheus does it."""
    wanted, low, below = share * counts[float("inf")], 0.0, 0.0
    for bound, count in sorted(counts.items()):
        if count >= wanted:
            return low if bound == float("inf") else low + (bound - low) * (wanted - below) / max(count - below, 1.0)
        low, below = bound, count
    return low


@contextmanager
def _reader(port: int) -> Iterator[Any]:
    command = [sys.executable, "-m", "benchmarks.reader", f"http://127.0.0.1:{port}/"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        stdin, stdout = child.stdin, child.stdout

        def report_now() -> Any:
            stdin.write("report\n")
            stdin.flush()
            return json.loads(stdout.readline())

        try:
            yield report_now
        finally:
            child.terminate()
