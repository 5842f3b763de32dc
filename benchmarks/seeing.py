"""The cost of being seen: a run that somebody looks at beside one that nobody does, and a page of very many games."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.contenders.contender import Course
from benchmarks.contenders.program import HealthprobeRun
from benchmarks.engines import cheapest_engines, free_port
from benchmarks.measure import Cost, measured, say
from benchmarks.processes import ChildFailed
from benchmarks.table import table

_AT_MOST = 1.1
_LARGEST_PAGE = 3_000_000
_MOST_AT_REST = 50_000
_FIRST_PAINT = 2.0
_SLOW_INTERVAL = 30.0
_AT_REST_FOR = 15.0


@dataclass(frozen=True, slots=True)
class Pair:
    """One round: what a probe costs where nobody looks, and with `--listen`, two streams and a scrape every 5 s."""

    unseen: Cost
    seen: Cost
    notes: Sequence[str]

    @property
    def ratio(self) -> float:
        return self.seen.cpu_per_probe / self.unseen.cpu_per_probe


@dataclass(frozen=True, slots=True)
class Large:
    """Very many games: how long all cells take to come, how large they are, what a stream sends a second at rest."""

    games: int
    cells_seconds: float
    cells_bytes: int
    bytes_a_second: float
    page_bytes: int


@dataclass(frozen=True, slots=True)
class Seen:
    pairs: Sequence[Pair]
    large: Large


def seen(*, engine_count: int, games: int, seconds: float, rounds: int) -> Seen:
    """Measure both, telling on standard error how far it is."""
    with TemporaryDirectory(prefix="healthprobe-bench-") as folder, cheapest_engines(Path(folder)) as engines:
        course = Course(engines, engine_count, seconds, Path(folder))
        say(f"{engine_count:,} engines, {engines.kind}; {rounds} rounds of twice {seconds:g} s")
        pairs = [_round(course, number) for number in range(rounds)]
        say(f"{games:,} games, every {_SLOW_INTERVAL:g} s")
        return Seen(pairs, _large(Course(engines, games, seconds, Path(folder))))


def report(found: Seen, opening: str) -> str:
    """The section of the page."""
    rows = [
        (f"{number}", *(f"{cost.cpu_per_probe * 1e6:.1f}" for cost in (pair.unseen, pair.seen)), f"{pair.ratio:.3f}",
         "; ".join(pair.notes))
        for number, pair in enumerate(found.pairs, 1)
    ]  # fmt: skip
    ratio, large = median(pair.ratio for pair in found.pairs), found.large
    promise = f"The promise is a median of at most {_AT_MOST:g}; it is **{ratio:.2f}**: {_kept(ratio <= _AT_MOST)}."
    of_large = [
        ("all cells, to the last byte", f"{large.cells_seconds:.2f} s", f"{_FIRST_PAINT:g} s to the first paint",
         _kept(large.cells_seconds < _FIRST_PAINT)),
        ("cells and the page's own files, as sent", f"{(large.cells_bytes + large.page_bytes) / 1e6:.2f} MB",
         f"{_LARGEST_PAGE / 1e6:g} MB", _kept(large.cells_bytes + large.page_bytes < _LARGEST_PAGE)),
        ("live updates at rest", f"{large.bytes_a_second / 1e3:.1f} KB/s", f"{_MOST_AT_REST / 1e3:g} KB/s",
         _kept(large.bytes_a_second < _MOST_AT_REST)),
    ]  # fmt: skip
    return "\n\n".join(
        [
            "## What it costs to be seen",
            opening,
            table(("round", "unseen, us a probe", "seen, us a probe", "ratio", "notes"), rows),
            promise,
            f"{large.games:,} games, every {_SLOW_INTERVAL:g} s:",
            table(("what", "measured", "at most", "kept"), of_large),
            _HOW_TO_READ,
        ]
    )


_HOW_TO_READ = """\
*Seen* is `healthprobe run --listen` with all that the open page asks for, read by a process of its own (all cells, both
streams), and a scrape of `/metrics` every 5 s. CPU is user + system of the whole run; every other round begins with
*seen*."""


def _kept(holds: bool) -> str:  # noqa: FBT001
    return "kept" if holds else "**missed**"


def _round(course: Course, number: int) -> Pair:
    if number % 2 == 0:
        unseen = _cost(HealthprobeRun("file"), course)
        looked_at = _cost_seen(course)
    else:
        looked_at = _cost_seen(course)
        unseen = _cost(HealthprobeRun("file"), course)
    pair = Pair(unseen[0], looked_at[0], [*unseen[1], *looked_at[1]])
    say(f"round {number + 1}: {pair.ratio:.3f}")
    return pair


def _cost_seen(course: Course) -> tuple[Cost, Sequence[str]]:
    port = free_port()
    with _reader(port):
        return _cost(HealthprobeRun("file", listen=port), course)


def _cost(contender: HealthprobeRun, course: Course) -> tuple[Cost, Sequence[str]]:
    row = measured(contender, course)
    if row.cost is None:
        raise ChildFailed(f"{row.name}: {'; '.join(row.notes)}")
    return row.cost, [note for note in row.notes if "**" in note]


def _large(course: Course) -> Large:
    port = free_port()
    page = sum(file.stat().st_size for file in Path("src/healthprobe/surfaces/page").iterdir() if file.is_file())
    before_it = course.engines.requests()
    with HealthprobeRun("file", interval=_SLOW_INTERVAL, listen=port).probing(course) as probing:
        all_asked = before_it + course.engine_count
        probing.child.wait_until(lambda: course.engines.requests() > all_asked, 4 * _SLOW_INTERVAL)
        with _reader(port) as tell:
            time.sleep(3)
            before = tell()
            time.sleep(_AT_REST_FOR)
            after = tell()
    at_rest = (after["bytes"]["stream"] - before["bytes"].get("stream", 0)) / _AT_REST_FOR
    return Large(course.engine_count, after["cells_s"][0], after["bytes"]["cells"], at_rest, page)


@contextmanager
def _reader(port: int) -> Iterator[Any]:
    command = [sys.executable, "-m", "benchmarks.reader", f"http://127.0.0.1:{port}/"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        stdin, stdout = child.stdin, child.stdout

        def tell() -> Any:
            stdin.write("tell\n")
            stdin.flush()
            return json.loads(stdout.readline())

        try:
            yield tell
        finally:
            child.terminate()
