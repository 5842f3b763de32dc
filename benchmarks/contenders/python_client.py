"""A Python client as a contender: one client object in a process of its own, asking every engine in lanes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.contenders.contender import LANES, Course, Missing, Probing
from benchmarks.processes import Child, ChildFailed, resident_memory, running

_PASSES_BEFORE = 2


@dataclass(frozen=True, slots=True)
class PythonClient:
    """The client that `module` knows, asking for `prefix`/healthz.

    `most_engines` is set where more would make it too slow to wait for, and `why_fewer` is the reason.
    """

    name: str
    module: str
    connections: Literal["kept", "fresh"] = "kept"
    most_engines: int | None = None
    why_fewer: str = ""
    prefix: str = ""

    @contextmanager
    def probing(self, course: Course) -> Iterator[Probing]:
        count = min(course.engine_count, self.most_engines or course.engine_count)
        command = [sys.executable, "-m", "benchmarks.client", self.module]
        command += [str(course.engines.port), str(count), self.connections, self.prefix]
        with running(command, course.workspace, talking=True) as child:
            _require_ready(child)
            before = resident_memory(child.pid) if self.connections == "kept" else None
            probing = Probing(child, course.engines, count, warm_up=_PASSES_BEFORE * count, memory_before=before)
            probing.notes.append(f"{LANES} in flight")
            if count < course.engine_count:
                probing.notes.append(f"{count:,} engines only: {self.why_fewer}")
            _tell(child, "go\n")
            yield probing
            summary = _closing_words(child)
            probing.failed = summary["failed"]
            probing.notes += summary["faults"]


def _require_ready(child: Child) -> None:
    """Raises Missing or ChildFailed where its first word is not that it is ready."""
    word = _next_line(child)
    if word == "ready":
        return
    if word:
        raise Missing(json.loads(word)["missing"])
    child.process.wait()
    child.require_alive()


def _closing_words(child: Child) -> dict[str, Any]:
    assert child.process.stdin is not None
    child.process.stdin.close()
    words = _next_line(child)
    if not words:
        raise ChildFailed("it did not say how many probes failed")
    summary: dict[str, Any] = json.loads(words)
    return summary


def _next_line(child: Child) -> str:
    assert child.process.stdout is not None
    return child.process.stdout.readline().strip()


def _tell(child: Child, line: str) -> None:
    assert child.process.stdin is not None
    child.process.stdin.write(line)
    child.process.stdin.flush()
