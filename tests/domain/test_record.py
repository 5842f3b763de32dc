from __future__ import annotations

from healthprobe.domain.record import RUNNING, RuntimeRecord


def test_the_default_status_is_running() -> None:
    assert RuntimeRecord("game-7", "c1", "http://engine:8080").status == RUNNING == "running"
