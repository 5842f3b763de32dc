"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import healthprobe

PACKAGE = Path(healthprobe.__file__).parent
MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("name", MODULES)
def test_every_example_in_a_docstring_is_true(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.attempted > 0
    assert results.failed == 0


def test_examples_are_found_in_these_rooms() -> None:
    rooms = {"_util", "domain", "adapters", "app", "testing"}
    assert {name.split(".")[1] for name in MODULES} >= rooms


def test_the_schedule_arithmetic_is_explained_by_examples() -> None:
    schedule = importlib.import_module("healthprobe.domain.schedule")
    explained = {test.name.rpartition(".")[2] for test in doctest.DocTestFinder().find(schedule) if test.examples}
    assert explained >= {"phase_fraction", "phase", "spread_window", "lanes_needed", "next_tick"}
