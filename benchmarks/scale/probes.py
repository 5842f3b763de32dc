"""The cost of a probe: by the whole program on a kept connection and on a fresh one, and what a connection holds."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contenders.contender import Contender, Course
from benchmarks.contenders.program import HealthprobeRun
from benchmarks.contenders.python_client import PythonClient
from benchmarks.engines import Engines, cheapest_engines
from benchmarks.measure import Cost, measured, say
from benchmarks.processes import ChildFailed

SELDOM = 5.0

_SECONDS = 10.0
_FRESH_AT_MOST = 2_000
_CONNECTIONS = 4_000
_SETTLING = 0.5


@dataclass(frozen=True, slots=True)
class ProbeCosts:
    """Seconds of CPU a probe; bytes a kept connection, of the process and, at our end of it, of the kernel.

    `kept` is that of an engine asked every second, `seldom` of one asked every `SELDOM` seconds: at each turn of the
    loop fewer of them are due, and what belongs to them is in no cache any more.
    """

    kept: float
    seldom: float
    fresh: float
    connection: float
    kernel: float


def probes_measured(engine_count: int) -> ProbeCosts:
    """`healthprobe run` asks so many engines; afresh it asks fewer of them, so that it keeps up."""
    with TemporaryDirectory(prefix="healthprobe-bench-") as folder, cheapest_engines(Path(folder)) as engines:
        course = Course(engines, engine_count, _SECONDS, Path(folder))
        say(f"probes: {engine_count:,} engines, {engines.kind} ...")
        kernel = _of_the_kernel(engines)
        kept = _cost(HealthprobeRun("file"), course)
        seldom = _cost(HealthprobeRun("file", interval=SELDOM), course)
        few = Course(engines, min(engine_count, _FRESH_AT_MOST), _SECONDS, Path(folder))
        fresh = _cost(HealthprobeRun("file", connections="fresh"), few)
        alone = _cost(PythonClient("our prober, no two answers alike", "prober", prefix="/differing"), course)
        assert alone.memory_per_connection is not None
        return ProbeCosts(
            kept.cpu_per_probe, seldom.cpu_per_probe, fresh.cpu_per_probe, alone.memory_per_connection, kernel
        )


def _cost(contender: Contender, course: Course) -> Cost:
    row = measured(contender, course)
    if row.cost is None:
        raise ChildFailed(f"{row.name}: {'; '.join(row.notes)}")
    return row.cost


def _of_the_kernel(engines: Engines) -> float:
    """What one end of an idle connection holds there: both ends are here."""
    with ExitStack() as stack:
        before = _slab()
        for number in range(_CONNECTIONS):
            address = engines.endpoint(number).removeprefix("http://").partition(":")[0]
            stack.enter_context(socket.create_connection((address, engines.port)))
        time.sleep(_SETTLING)
        return (_slab() - before) / (2 * _CONNECTIONS)


def _slab() -> int:
    """Bytes of the kernel's own objects that it cannot give back."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "SUnreclaim":
            return int(value.split()[0]) * 1024
    raise ChildFailed("the kernel does not show the size of its objects")
