"""The machine that a figure comes from: what it is, and whether it had other things to do meanwhile."""

from __future__ import annotations

import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.processes import TICKS_PER_SECOND, cpu_time


def facts() -> dict[str, str]:
    """What the figures depend on: processor, kernel, Python, how busy the machine was, and when it was."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


class Others:
    """How busy everybody else keeps the machine while something is measured.

    A shared cache and a shared core make the same work cost more, so that a figure with much of this is worth little.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._before = _everybody() - _ourselves()

    def share(self) -> float:
        """CPU that was used since, by processes that are neither this one nor its children, in cores."""
        used = _everybody() - _ourselves() - self._before
        return max(used, 0.0) / (time.monotonic() - self._began)


def _everybody() -> float:
    """Seconds of CPU that all processes used since the machine began: user, nice and system of /proc/stat."""
    fields = Path("/proc/stat").read_text().split(maxsplit=4)
    return sum(map(int, fields[1:4])) / TICKS_PER_SECOND


def _ourselves() -> float:
    """Seconds of CPU that this process and the children that it has now have used."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return sum(cpu_time(pid).total for pid in [os.getpid(), *map(int, children)])


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model"}:
            return value.strip()
    return platform.machine()
