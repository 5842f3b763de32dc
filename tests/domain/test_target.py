from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.outcome import Failed
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import parse_target


def test_a_target_has_the_game_the_endpoint_and_the_timeout() -> None:
    target = parse_target(RuntimeRecord("game-7", "c1", "http://engine-7:8080/v1/"), 2.0)
    assert target.game_id == "game-7"
    assert target.endpoint == Endpoint("http", "engine-7", 8080, "/v1")
    assert target.timeout == 2.0


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "game-7",
        "game-7:8080",
        "ftp://h",
        "http://",
        "http://h:1?x=1",
        "http://h:1#f",
        "http://h:0",
        "http://h:99999",
    ],
)
def test_an_invalid_endpoint_is_a_failure_with_status_0(endpoint: str) -> None:
    failed = parse_target(RuntimeRecord("game-7", "c1", endpoint), 2.0).endpoint
    assert isinstance(failed, Failed)
    assert failed.last_status == 0
    assert failed.last_error.startswith("invalid endpoint: ")


def test_two_targets_of_the_same_record_are_not_equal() -> None:
    record = RuntimeRecord("game-7", "c1", "http://engine-7:8080")
    first, second = parse_target(record, 2.0), parse_target(record, 2.0)
    assert first != second
    assert len({first, second}) == 2


@given(st.text(st.characters(exclude_characters="/")), st.text())
def test_no_endpoint_raises_or_shows_its_credentials(user: str, rest: str) -> None:
    target = parse_target(RuntimeRecord("game-7", "c1", f"http://{user}:s3cr3t-of-mine@{rest}"), 2.0)
    assert "s3cr3t-of-mine" not in repr(target)
