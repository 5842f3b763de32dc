"""The whole program on real processes: how much of it is shown, and what every test of it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.system.life import Lives

FULL_FORM = "HEALTHPROBE_SYSTEM_TESTS"


@pytest.fixture
def full() -> bool:
    """Whether the proofs run in their full length, for minutes: HEALTHPROBE_SYSTEM_TESTS=full."""
    return os.environ.get(FULL_FORM) == "full"


@pytest.fixture
def lives_in(tmp_path: Path) -> Iterator[Callable[[str], Lives]]:
    """Lives in a folder of this name; whatever is still alive when the test ends is killed."""
    begun: list[Lives] = []

    def in_folder(name: str) -> Lives:
        folder = tmp_path / name
        folder.mkdir()
        begun.append(Lives(folder))
        return begun[-1]

    yield in_folder
    for lives in begun:
        lives.end()


@pytest.fixture
def lives(lives_in: Callable[[str], Lives]) -> Lives:
    return lives_in("one")
