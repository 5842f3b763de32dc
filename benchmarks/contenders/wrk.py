"""wrk: a load generator in C, and the floor: what the same request costs where nothing is judged or remembered."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

from benchmarks.contenders.contender import INTERVAL, LANES, Course, Probing, required
from benchmarks.engines import plain_engines
from benchmarks.processes import running

_FAILED = re.compile(r"Non-2xx or 3xx responses: (\d+)|(?:connect|read|write|timeout) (\d+)")
_LONGEST_WARM_UP = 120


@dataclass(frozen=True, slots=True)
class Wrk:
    """wrk on one thread against one address, which is all that it can.

    As fast as it can with few connections it reads many answers at each turn and always finds its data in the cache:
    cheaper than any prober of many engines can be. `paced` is the like of a prober: a connection for each engine, each
    asked about once a second, because the engines hold each answer back for so long.
    """

    name: str
    connections: Literal["kept", "fresh"] = "kept"
    one_an_engine: bool = False
    paced: bool = False

    @contextmanager
    def probing(self, course: Course) -> Iterator[Probing]:
        wrk = required("wrk", "wrk")
        connections = course.engine_count if self.one_an_engine else LANES
        with ExitStack() as stack:
            engines = course.engines
            if self.paced:
                engines = stack.enter_context(plain_engines(course.workspace, answer_after=INTERVAL))
            command = [wrk, "--threads=1", f"--connections={connections}", "--timeout=5s"]
            command.append(f"--duration={course.seconds + _LONGEST_WARM_UP:.0f}s")
            if self.connections == "fresh":
                command.append("--header=Connection: close")
            child = stack.enter_context(running([*command, f"{engines.endpoint(0)}/healthz"], course.workspace))
            probing = Probing(child, engines, 1, warm_up=2 * course.engine_count, paced=self.paced)
            probing.notes.append(f"one address, {connections:,} connections")
            if self.paced:
                probing.notes.append(f"engines: {engines.kind}")
            yield probing
            child.end(signal.SIGINT)
            probing.failed = sum(int(bad or error) for bad, error in _FAILED.findall(child.output))
