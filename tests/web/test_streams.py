"""The event streams: of the log and of the cells, from the start or from where a client has left off."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.support.waiting import PATIENCE
from tests.telemetry.metrics.monitored_worker import MonitoredWorker
from tests.web.client import app_of, get, stream_of

from healthprobe.domain.outcome import HEALTHY
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import ticks
from healthprobe.web import server
from healthprobe.web.listen_address import ListenAddress
from healthprobe.web.server import serving


async def test_each_event_is_streamed_as_it_enters_the_log_with_its_cursor_as_id() -> None:
    monitored = MonitoredWorker({"a": UNAVAILABLE}, failures_threshold=1)
    async with stream_of(monitored, "/api/events/stream?after=0") as events:
        await ticks(monitored.worker, 1)
        number, name, event = await anext(events)
        assert (number, name, event["id"]) == ("1", "probe_failed", "a:1")
        monitored.stage.prober.script("a", HEALTHY)
        await ticks(monitored.worker, 1)
        assert [(each[0], each[1]) async for each in _first(events, 1)] == [("2", "probe_recovered")]


async def test_a_browser_that_reconnects_continues_after_its_last_event() -> None:
    monitored = MonitoredWorker({"a": [UNAVAILABLE, HEALTHY] * 2}, failures_threshold=1)
    await ticks(monitored.worker, 4)
    async with stream_of(monitored, "/api/events/stream", Last_Event_ID="2") as events:
        assert (await anext(events))[2]["id"] == "a:3"


async def test_an_invalid_last_event_id_is_refused() -> None:
    answer = await get(app_of(MonitoredWorker({"a": HEALTHY})), "/api/events/stream", Last_Event_ID="x" * 5)
    assert answer.status_code == 400


async def test_the_cells_plus_the_streamed_changes_are_the_current_cells() -> None:
    monitored = MonitoredWorker({"a": HEALTHY, "b": HEALTHY}, failures_threshold=1)
    await ticks(monitored.worker, 1)
    answer = await get(app_of(monitored), "/api/cells")
    cells = answer.json()
    assert (cells["ids"], cells["states"]) == (["a", "b"], "33")
    assert cells["state_names"] == ["down", "failing", "unknown", "healthy"]
    monitored.stage.prober.script("b", UNAVAILABLE)
    async with stream_of(monitored, f"/api/cells/stream?after={cells['version']}") as events:
        await ticks(monitored.worker, 1)
        monitored.status._refreshed_at = float("-inf")
        await monitored.status.refresh()
        received: dict[str, Any] = {}
        while not ("cells" in received and received.get("incidents", {}).get("open")):
            _, name, data = await anext(events)
            received[name] = data
    assert received["cells"]["changed"] == [[1, 0]]
    assert received["fleet"]["down"] == 1
    assert [each["game_id"] for each in received["incidents"]["incidents"]] == ["b"]


async def test_a_version_of_another_run_gets_a_reload() -> None:
    monitored = MonitoredWorker({"a": HEALTHY})
    await ticks(monitored.worker, 1)
    await monitored.status.refresh()
    monitored.status._deltas.clear()
    async with stream_of(monitored, "/api/cells/stream?after=0") as events:
        assert [each[1] async for each in events] == ["reload"]


async def test_connections_are_closed_at_shutdown_even_without_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_SHUTDOWN_TIMEOUT", 0.0)
    async with httpx.AsyncClient() as client:
        async with serving(app_of(MonitoredWorker({"a": HEALTHY})), ListenAddress("127.0.0.1", 0)) as address:
            answer = await client.send(client.build_request("GET", f"{address}api/events/stream"), stream=True)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(httpx.HTTPError):
                [line async for line in answer.aiter_lines()]


def test_a_hundred_thousand_cells_are_less_than_three_megabytes() -> None:
    ids = [f"game-{number:06}-of-some-length" for number in range(100_000)]
    document = {"ids": ids, "states": "3" * len(ids), "hosts": [number % 500 for number in range(len(ids))]}
    assert len(gzip.compress(json.dumps(document).encode(), 1)) < 1_000_000


async def _first(events: AsyncIterator[tuple[str, str, Any]], count: int) -> AsyncIterator[tuple[str, str, Any]]:
    for _ in range(count):
        yield await anext(events)
