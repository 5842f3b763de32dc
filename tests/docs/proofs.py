"""Finds the tests that prove a rule: those marked `@pytest.mark.proves("id")`, an id that a table in the docs names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"
TABLES = ("reference.md", "security.md", "verdict.md")


def table_rows(page: str) -> list[list[str]]:
    """Returns the rows, as cells, of those tables of a page whose last column names tests."""
    rows = []
    for table in re.findall(r"^\|.*\|\n\| ---.*\n(?:\|.*\n)+", (DOCS / page).read_text(), re.MULTILINE):
        header, _, *body = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines())
        if header[-1] in {"held by", "test"}:
            rows += body
    return rows


def ids_of(row: list[str]) -> list[str]:
    """Returns the ids in the last cell of a row; raises ValueError where the cell holds anything else."""
    ids = re.findall(r"`([a-z0-9-]+)`", row[-1])
    if not ids or row[-1] != ", ".join(f"`{each}`" for each in ids):
        raise ValueError(f"not a list of ids: {row[-1]!r}")
    return ids


def proofs() -> Iterator[tuple[str, str]]:
    """Yields an id and the test function or class that carries it, for every `proves` mark in a test file."""
    for file in sorted(TESTS.rglob("test_*.py")):
        text = file.read_text()
        if "mark.proves(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and is_collected(node.name):
                for proved in marks_of(node):
                    yield proved, f"{file.relative_to(TESTS)}::{node.name}"


def is_collected(name: str) -> bool:
    return name.startswith(("test_", "Test"))


def marks_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.proves":
            yield from (ast.literal_eval(argument) for argument in decorator.args)
