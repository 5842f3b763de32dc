"""Fixtures for tests of the whole program."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.system.runs import Runs

FULL_FORM = "HEALTHPROBE_SYSTEM_TESTS"


@pytest.fixture
def full() -> bool:
    """Whether tests run at full length, for minutes: HEALTHPROBE_SYSTEM_TESTS=full."""
    return os.environ.get(FULL_FORM) == "full"


@pytest.fixture
def runs_in(tmp_path: Path) -> Iterator[Callable[[str], Runs]]:
    """Runs in a folder of this name; what still runs when the test ends is killed."""
    begun: list[Runs] = []

    def in_folder(name: str) -> Runs:
        folder = tmp_path / name
        folder.mkdir()
        begun.append(Runs(folder))
        return begun[-1]

    yield in_folder
    for runs in begun:
        runs.end()


@pytest.fixture
def runs(runs_in: Callable[[str], Runs]) -> Runs:
    return runs_in("one")
