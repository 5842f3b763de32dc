"""The worked examples in the domain's docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import healthprobe.domain

MODULES = [module.name for module in pkgutil.iter_modules(healthprobe.domain.__path__, "healthprobe.domain.")]


@pytest.mark.parametrize("name", MODULES)
def test_every_example_in_a_docstring_gives_what_it_says(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.failed == 0


def test_the_schedule_arithmetic_is_explained_by_examples() -> None:
    schedule = importlib.import_module("healthprobe.domain.schedule")
    explained = {test.name.rpartition(".")[2] for test in doctest.DocTestFinder().find(schedule) if test.examples}
    assert explained >= {"fraction_of", "phase", "spread_window", "lanes_needed", "next_tick"}
