"""The table of differences: each row names its test, and the test is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [line for line in (ROOT / "docs" / "reference.md").read_text().splitlines() if line.startswith("| ")][2:]
TESTS = set(re.findall(r"def (test_\w+)", "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))))


def test_there_is_a_row_for_every_difference_of_the_design() -> None:
    assert len(ROWS) >= 17


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_difference_from_the_reference_is_held_by_a_test(row: str) -> None:
    named = re.findall(r"test_\w+", row)
    assert named
    assert set(named) <= TESTS
