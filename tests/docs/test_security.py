"""The threat model: each row names the tests that hold it, and they are there."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    line
    for line in (ROOT / "docs" / "security.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| what they try", "| ---"))
]
NAMED = re.compile(r"`((?:tests|src/healthprobe/testing)/[\w/]+\.py)::(test_\w+)`")


@lru_cache
def named_in(file: str) -> frozenset[str]:
    """The tests that stand in this file, by name; none where there is no such file."""
    if not (ROOT / file).is_file():
        return frozenset()
    tree = ast.parse((ROOT / file).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_each_way_in_has_its_rows() -> None:
    assert len(ROWS) >= 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:50])
def test_every_threat_is_held_by_tests_that_are_there(row: str) -> None:
    threat, _, held = row.strip("| ").rpartition(" | ")
    assert threat.count(" | ") == 1
    named = NAMED.findall(held)
    assert named
    assert held == ", ".join(f"`{file}::{name}`" for file, name in named), "something there is no test's name"
    for file, name in named:
        assert name in named_in(file), f"{file} has no {name}"
