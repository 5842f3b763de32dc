"""The costs: every contender over the same engines, one after the other, in one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import table
from benchmarks.contenders.blackbox import BlackboxExporter
from benchmarks.contenders.contender import Contender, Course
from benchmarks.contenders.haproxy import HaproxyChecks
from benchmarks.contenders.program import HealthprobeRun
from benchmarks.contenders.python_client import PythonClient
from benchmarks.contenders.wrk import Wrk
from benchmarks.engines import DIFFERING, cheapest_engines
from benchmarks.measure import Row, in_words, measured, say

_POOL_IS_SEARCHED = "at each request its pool polls every connection that it keeps"

CONTENDERS: Mapping[str, Sequence[Contender]] = {
    "wrk": (
        Wrk(table.FLOOR),
        Wrk(table.LIKE_PROBER, one_an_engine=True),
        Wrk(table.LIKE_RUN, one_an_engine=True, paced=True),
        Wrk("wrk, full speed, fresh", connections="fresh"),
    ),
    "prober": (
        PythonClient(table.PROBER, "prober"),
        PythonClient("our prober, no two answers alike", "prober", prefix=DIFFERING),
        PythonClient("our prober, fresh", "prober", connections="fresh"),
    ),
    "run": (HealthprobeRun("file"), HealthprobeRun("sqlite"), HealthprobeRun("file", connections="fresh")),
    "haproxy": (HaproxyChecks(),),
    "blackbox": (BlackboxExporter(),),
    "aiohttp": (
        PythonClient("aiohttp", "aiohttp_session"),
        PythonClient("aiohttp, fresh", "aiohttp_session", connections="fresh"),
    ),
    "httpx": (
        PythonClient("httpx", "httpx_client", most_engines=100, why_fewer=_POOL_IS_SEARCHED),
        PythonClient("httpx, fresh", "httpx_client", connections="fresh"),
    ),
}
"""What can be asked for by name, in the order of the table. The floor is always among them."""

_HOW_TO_READ = f"""\
CPU is user + system of the whole process, all threads, in its steady state after a warm-up, divided by the requests
that the engines counted meanwhile; the engines, and the client that drives blackbox_exporter, are not included. `run`
and HAProxy probe each engine once a second with a timeout of 500 ms; the others send as many requests as they can, with
64 in flight. Memory is the peak of the process (VmHWM).

All engines answer with the same bytes within a second, as engines of one build do, and our prober parses only responses
that differ from the last ones. The cost where every response differs is a row of its own.

The floor, `{table.FLOOR}`, is the least possible: one address and 64 connections, so that every turn of its loop finds
many responses, all of them in the cache. A prober of thousands of engines has a connection for each. What wrk pays with
as many is the row `{table.LIKE_PROBER}`; with one request a second on each, as `run` does, it is the row
`{table.LIKE_RUN}`; there the engines delay each response by a second, because wrk cannot wait."""


def compared(names: Sequence[str], *, engine_count: int, seconds: float) -> list[Row]:
    """Measures the contenders of these names; prints the progress to standard error."""
    rows = []
    with TemporaryDirectory(prefix="healthprobe-bench-") as folder, cheapest_engines(Path(folder)) as engines:
        course = Course(engines, engine_count, seconds, Path(folder))
        say(f"{engine_count:,} engines on 127.x.y.z:{engines.port}, {engines.kind}; {seconds:g} s each")
        for contender in [each for name in CONTENDERS if name in names for each in CONTENDERS[name]]:
            say(f"measuring {contender.name} ...")
            rows.append(measured(contender, course))
            say(in_words(rows[-1]))
    return rows


def report(rows: Sequence[Row], opening: str) -> str:
    """The section of the page."""
    return "\n\n".join(
        [
            "## Next to other programs",
            opening,
            table.markdown(rows),
            _HOW_TO_READ,
            "### Targets",
            table.markdown_of_targets(table.targets(rows)),
        ]
    )
