"""Paths into a JSON body, and the values found there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.probe.json_path import InvalidJsonPath, Step, ValueNotFound, parse_json_path, value_at

DOCUMENT = {"state": "up", "checks": [{"name": "db", "ok": True}, {"name": "disk", "ok": None}], "0": "zero"}


@pytest.mark.parametrize(
    ("path", "value"),
    [("state", "up"), ("checks[0].ok", True), ("checks[1].name", "disk"), ("checks[1].ok", None), ("0", "zero")],
)
def test_a_value_is_found_by_names_and_indexes(path: str, value: Any) -> None:
    assert value_at(DOCUMENT, path) == value


@pytest.mark.parametrize("path", ["missing", "state.more", "checks[2]", "checks.name", "state[0]", "[0]"])
def test_a_missing_value_raises(path: str) -> None:
    with pytest.raises(ValueNotFound):
        value_at(DOCUMENT, path)


@pytest.mark.parametrize(
    "path", ["", ".", "a.", ".a.", "a..b", "a[", "a[]", "a[-1]", "a[x]", "a b", "a]b", "a[0]b", "a." * 40]
)
def test_an_invalid_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidJsonPath, match=r"as a\.b\[0\]\.c"):
        parse_json_path(path)


_steps = st.lists(st.one_of(st.text("abcdefgh_-", min_size=1, max_size=5), st.integers(0, 999)), min_size=1, max_size=8)


@given(_steps, st.integers())
def test_every_valid_path_is_parsed(steps: list[Step], value: int) -> None:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
    document: Any = value
    for step in reversed(steps):
        document = [*[None] * step, document] if isinstance(step, int) else {step: document}
    assert parse_json_path(path) == tuple(steps)
    assert value_at(document, path) == value
