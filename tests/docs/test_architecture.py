"""docs/architecture.md names files, classes and functions that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
SOURCES = {path: path.read_text() for path in (ROOT / "src" / "healthprobe").rglob("*.py")}
PLACEHOLDERS = re.compile(r"KIND|BUS|PLACE|NAME")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+(?:\.py|/))`", PAGE))))
def test_every_file_that_is_named_exists(name: str) -> None:
    places = [ROOT, ROOT / "src" / "healthprobe", ROOT / "src" / "healthprobe" / "worker"]
    assert PLACEHOLDERS.search(name) or any((place / name).exists() for place in places)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\b[A-Z][a-z]\w+\._?[a-z]\w+\b", PAGE))))
def test_every_method_that_is_named_exists(name: str) -> None:
    owner, method = name.split(".")
    bodies = [text.partition(f"class {owner}")[2].partition("\nclass ")[0] for text in SOURCES.values()]
    assert any(f"def {method}(" in body for body in bodies)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([A-Z][A-Za-z]+|[A-Z]{4,})`", PAGE))))
def test_every_class_and_table_that_is_named_exists(name: str) -> None:
    assert PLACEHOLDERS.fullmatch(name) or any(
        re.search(rf"^(class {name}\b|{name}\b.* =)", text, re.MULTILINE) for text in SOURCES.values()
    )


def test_the_page_is_one_page() -> None:
    assert len(PAGE.splitlines()) <= 130
