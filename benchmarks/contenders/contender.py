"""The contender: one program that probes, as the measurement sees it."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from benchmarks.engines import Engines
from benchmarks.processes import Child

PROBE_TIMEOUT = 0.5
INTERVAL = 1.0
"""The pace of those that have one, in seconds; the others probe as fast as they can."""

LANES = 64
"""Probes in flight, for those that probe as fast as they can."""

PATIENCE = 5.0
"""Their timeout, in seconds: none of them is to fail for being slow."""


class Missing(Exception):
    """The contender is not installed; the message says what would have to be."""


@dataclass(frozen=True, slots=True)
class Course:
    """What every contender runs over: the engines, how many of them, and for how long it will be measured."""

    engines: Engines
    engine_count: int
    seconds: float
    workspace: Path

    @property
    def endpoints(self) -> list[str]:
        return self.engines.endpoints(self.engine_count)


@dataclass(slots=True)
class Probing:
    """A contender at work. `failed` and `notes` are complete once its context has ended.

    `warm_up` is the number of requests before its steady state. `paced` means that it makes one request an engine and
    `interval`, in seconds. `memory_before` is its memory before its first connection, where that can be measured. All
    its probes reach `engines`, of which it uses `engine_count`.
    """

    child: Child
    engines: Engines
    engine_count: int
    warm_up: int
    paced: bool = False
    interval: float = INTERVAL
    memory_before: int | None = None
    failed: int | None = None
    notes: list[str] = field(default_factory=list)


class Contender(Protocol):
    """One program, in one way of being used."""

    @property
    def name(self) -> str:
        """What its row is called; no other has the same."""
        ...

    @property
    def connections(self) -> Literal["kept", "fresh"]:
        """Whether its connections are kept from probe to probe."""
        ...

    def probing(self, course: Course) -> AbstractContextManager[Probing]:
        """Start it, and end it with the context. Raises Missing, or ChildFailed where it does not begin."""
        ...


def required(program: str, package: str) -> str:
    """Where `program` is installed. Raises Missing with the Debian package that brings it."""
    found = shutil.which(program) or shutil.which(f"/usr/sbin/{program}")
    if found is None:
        raise Missing(f"not installed: apt-get install {package}")
    return found
