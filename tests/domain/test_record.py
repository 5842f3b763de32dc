from __future__ import annotations

from healthprobe.domain.record import RUNNING, RuntimeRecord


def test_a_record_is_running_unless_it_says_otherwise() -> None:
    assert RuntimeRecord("game-7", "c1", "http://engine:8080").status == RUNNING == "running"
