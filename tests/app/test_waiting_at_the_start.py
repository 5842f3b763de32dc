"""A run waits for a store or a log that is away, and fails at once for a permanent error."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture
from tests.support.virtual_time import in_virtual_time

from healthprobe.app.startup import retry_until_available
from healthprobe.ports import ConfigurationError, LogError, StoreError

AWAY = LogError("the database is away")
STARTING = LogError("the database starts up")


@pytest.fixture
def written() -> LogCapture:
    return LogCapture()


@pytest.fixture
def logger(written: LogCapture) -> Any:
    return structlog.wrap_logger(None, processors=[written])


class Opening:
    """Raises `errors` one after the other, and opens then. `tried_at` are seconds of the loop's time."""

    def __init__(self, errors: Sequence[Exception]) -> None:
        self._errors = list(errors)
        self.tried_at: list[float] = []

    async def __call__(self) -> str:
        self.tried_at.append(asyncio.get_running_loop().time())
        if self._errors:
            raise self._errors.pop(0)
        return "opened"


def test_an_available_store_is_opened_at_once_without_a_log_line(logger: Any, written: LogCapture) -> None:
    opening = Opening([])
    assert in_virtual_time(retry_until_available(opening, logger)) == "opened"
    assert (opening.tried_at, written.entries) == ([0.0], [])


def test_each_reason_to_wait_is_logged_once_and_the_end_too(logger: Any, written: LogCapture) -> None:
    assert in_virtual_time(retry_until_available(Opening([AWAY, AWAY, AWAY, STARTING, STARTING]), logger)) == "opened"
    assert [(line["log_level"], line["event"], line.get("err")) for line in written.entries] == [
        ("warning", "waiting for a store or a log", "the database is away"),
        ("warning", "waiting for a store or a log", "the database starts up"),
        ("warning", "available: the run begins", None),
    ]


def test_retries_back_off_to_at_most_five_seconds(logger: Any) -> None:
    opening = Opening([AWAY] * 100)
    in_virtual_time(retry_until_available(opening, logger))
    pauses = [after - before for before, after in zip(opening.tried_at, opening.tried_at[1:], strict=False)]
    assert 0.0 < pauses[0] <= 0.1
    assert all(2.5 <= pause <= 5.0 for pause in pauses[10:])
    assert len(set(pauses[10:])) > 10, "many who wait for one database do not return as one"


@pytest.mark.parametrize(
    "error",
    [ConfigurationError("no such folder"), StoreError("no such table", permanent=True), ZeroDivisionError("a bug")],
)
def test_a_permanent_error_is_raised_at_once(logger: Any, written: LogCapture, error: Exception) -> None:
    opening = Opening([AWAY, error])
    with pytest.raises(type(error), match=str(error)):
        in_virtual_time(retry_until_available(opening, logger))
    assert len(opening.tried_at) == 2
    assert len(written.entries) == 1


def test_waiting_can_be_cancelled(logger: Any) -> None:
    async def cancelled() -> None:
        waiting = asyncio.create_task(retry_until_available(Opening([AWAY] * 1000), logger))
        await asyncio.sleep(60.0)
        waiting.cancel()
        await waiting

    with pytest.raises(asyncio.CancelledError):
        in_virtual_time(cancelled())
