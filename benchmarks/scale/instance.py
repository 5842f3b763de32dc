"""The instance: `healthprobe run` over imaginary engines, in a process of its own, watched from outside."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import Child, ChildFailed, cpu_time, running
from benchmarks.scale.sightings import Sightings

_POLL = 0.1


@dataclass(frozen=True, slots=True)
class Instance:
    """Number `number`, from 0, of those that share `sightings`."""

    number: int
    child: Child
    sightings: Sightings

    @property
    def games(self) -> int:
        """How many it watches now."""
        return self.sightings.reported(self.number)[0]

    @property
    def unread(self) -> int:
        """About how many of them the log has not been asked yet."""
        return self.sightings.reported(self.number)[1]

    def cores(self, seconds: float) -> float:
        """The share of a core that it uses during the next `seconds`."""
        return cores([self], seconds)[0]

    def summary(self) -> dict[str, Any]:
        """The figures of its closing line; it has ended."""
        for line in reversed(self.child.output.splitlines()):
            if line.startswith("{") and '"stopped"' in line:
                figures: dict[str, Any] = json.loads(line)
                return figures
        raise ChildFailed("healthprobe run has not logged its figures")


@contextmanager
def instance(number: int, path: Path, workspace: Path, *arguments: str) -> Iterator[Instance]:
    """Run it until the context ends, with the sightings at `path`."""
    command = [sys.executable, "-m", "benchmarks.scale.imaginary", str(path), str(number), "run", *arguments]
    with running(command, workspace) as child:
        yield Instance(number, child, Sightings(path))


def cores(those: list[Instance], seconds: float) -> list[float]:
    """The share of a core that each of these uses during the next `seconds`."""
    before, began = [cpu_time(each.child.pid).total for each in those], time.monotonic()
    time.sleep(seconds)
    after, lasted = [cpu_time(each.child.pid).total for each in those], time.monotonic() - began
    return [(used - earlier) / lasted for used, earlier in zip(after, before, strict=True)]


def until(condition: Callable[[], bool], hope: str, *, within: float) -> float:
    """Wait for `condition`; monotonic seconds at which it held. Raises ChildFailed after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise ChildFailed(f"waited {within:g}s in vain: {hope}")
        time.sleep(_POLL)
    return time.monotonic()
