"""The tables of docs/reference.md, security.md and verdict.md name ids, and a test is marked with each of them."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.docs.proofs import TABLES, ids_of, proofs, table_rows

PROVED = Counter(proved for proved, _ in proofs())
DIFFERENCES, THREATS, FAULTS = (table_rows(page) for page in TABLES)
ROWS = [*DIFFERENCES, *THREATS, *FAULTS]


def test_the_tables_have_all_their_rows() -> None:
    assert len(DIFFERENCES) >= 17
    assert len(THREATS) >= 40


def test_every_row_has_the_columns_of_its_table() -> None:
    assert {len(row) for row in DIFFERENCES} == {4}
    assert {len(row) for row in THREATS} == {3}
    assert {len(row) for row in FAULTS} == {4}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_every_id_in_a_row_is_proved_by_a_test(row: list[str]) -> None:
    assert [proved for proved in ids_of(row) if proved not in PROVED] == []


def test_every_id_on_a_test_is_in_a_table() -> None:
    named = {proved for row in ROWS for proved in ids_of(row)}
    assert set(PROVED) - named == set()


def test_an_id_is_on_one_test_only() -> None:
    assert [proved for proved, tests in PROVED.items() if tests > 1] == []
