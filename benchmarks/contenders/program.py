"""`healthprobe run` as a whole: the program that a user starts, with its store, its log and its publisher."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.contenders.contender import INTERVAL, PROBE_TIMEOUT, Course, Probing
from benchmarks.processes import ChildFailed, running

_HEALTHPROBE = (sys.executable, "-m", "healthprobe")
_TICKS_BEFORE = 3


@dataclass(frozen=True, slots=True)
class HealthprobeRun:
    """The program in a process of its own, probing what `records` lists: a JSON file, or the embedded store.

    With `cluster`, the URL of one, it is an instance of that. `interval` is in seconds. At port
    `listen` it shows itself; to the collector at `otlp` it sends metrics and spans. Each game of a file has the
    `labels`. `options` are given as they are.
    """

    records: Literal["file", "sqlite"]
    connections: Literal["kept", "fresh"] = "kept"
    cluster: str | None = None
    interval: float = INTERVAL
    listen: int | None = None
    otlp: str | None = None
    options: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        name = f"healthprobe run, {self.records}: records" + (", fresh" if self.connections == "fresh" else "")
        name += ", seen" if self.listen is not None else ""
        name += ", traced" if self.otlp is not None else ""
        return name if self.cluster is None else f"{name}, in a cluster"

    @contextmanager
    def probing(self, course: Course) -> Iterator[Probing]:
        records = self._records(course)
        log = course.workspace / f"{self.records}-{self.connections}-log.db"
        home = f"--log=sqlite:{log}" if self.cluster is None else f"--cluster={self.cluster}"
        command = [*_HEALTHPROBE, "run", f"--records={records}", home]
        command += [f"--interval={self.interval:g}s", f"--timeout={PROBE_TIMEOUT * 1000:.0f}ms"]
        command += [f"--connections={'reuse' if self.connections == 'kept' else 'fresh'}"]
        if self.listen is not None:
            command.append(f"--listen=127.0.0.1:{self.listen}")
        if self.otlp is not None:
            command.append(f"--otlp={self.otlp}")
        command += self.options
        with running(command, course.workspace) as child:
            warm_up = _TICKS_BEFORE * course.engine_count
            probing = Probing(
                child, course.engines, course.engine_count, warm_up=warm_up, paced=True, interval=self.interval
            )
            yield probing
            child.end()
            summary = _summary(child.output)
            probing.failed = summary["failed"] + summary["inconclusive"]
            probing.notes += _told(summary)

    def _records(self, course: Course) -> str:
        """The URL of the records, which are there once this returns."""
        listing = course.workspace / "records.json"
        listing.write_text(
            json.dumps([{**_record(*numbered), **self._labels()} for numbered in enumerate(course.endpoints)])
        )
        if self.records == "file":
            return f"file:{listing}"
        store = course.workspace / f"{self.connections}-records.db"
        store.unlink(missing_ok=True)
        _import(listing, f"sqlite:{store}")
        return f"sqlite:{store}"

    def _labels(self) -> dict[str, dict[str, str]]:
        return {"labels": dict(self.labels)} if self.labels else {}


def _record(number: int, endpoint: str) -> dict[str, str]:
    return {
        "game_id": f"game-{number}",
        "current_container_id": f"container-{number}",
        "engine_endpoint": endpoint,
        "status": "running",
    }


def _import(listing: Path, store: str) -> None:
    command = [*_HEALTHPROBE, "runtimes", "import", str(listing), f"--records={store}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildFailed(f"healthprobe runtimes import: {done.stderr.strip()[-200:]}")


def _summary(output: str) -> dict[str, Any]:
    """What the program said of its run when it stopped: its last log line."""
    for line in reversed(output.splitlines()):
        if line.startswith("{") and (entry := json.loads(line))["msg"] == "stopped":
            summary: dict[str, Any] = entry
            return summary
    raise ChildFailed(f"it did not say how its run went: {output[-200:].strip()}")


def _told(summary: dict[str, Any]) -> list[str]:
    notes = [
        f"{summary['healthy']:,} healthy and {summary['inconclusive']:,} inconclusive of {summary['probes']:,} probes",
        f"start late p50 {summary['late_ms_p50']:g} ms, p99 {summary['late_ms_p99']:g} ms, with the first tick",
    ]
    if summary["dropped_ticks"]:
        notes.append(f"{summary['dropped_ticks']} of {summary['ticks']} ticks dropped")
    return notes
