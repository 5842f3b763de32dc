"""The contract of a RuntimeRecordStore as a pytest suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.ports import RuntimeRecordStore
from healthprobe.testing.contracts.samples import LABELS, ODD_GAME_IDS

Edit = Callable[[Sequence[RuntimeRecord]], Awaitable[None]]
"""Makes the platform hold exactly these records, as another program would."""


async def running(store: RuntimeRecordStore) -> dict[str, RuntimeRecord]:
    """Returns the running records by game id. Fails if a game is listed twice."""
    records = await store.list_by_status(RUNNING)
    by_game = {record.game_id: record for record in records}
    assert len(by_game) == len(records)
    return by_game


@pytest.mark.asyncio
class RecordStoreContract:
    """Subclass it as `class TestMyStore(RecordStoreContract)` and define the fixtures `store` and `edit`."""

    async def test_a_platform_without_games_lists_nothing(self, store: RuntimeRecordStore, edit: Edit) -> None:
        await edit([])
        assert await store.list_by_status(RUNNING) == []

    async def test_only_records_of_the_status_asked_for_are_listed(self, store: RuntimeRecordStore, edit: Edit) -> None:
        runs = RuntimeRecord("game-7", "c0ffee", "http://game-7:8080")
        stopped = RuntimeRecord("game-8", "cafe", "http://game-8:8080", "stopped")
        await edit([runs, stopped])
        assert await store.list_by_status(RUNNING) == [runs]
        assert await store.list_by_status("stopped") == [stopped]
        assert await store.list_by_status("paused") == []

    async def test_an_edit_shows_at_the_next_listing(self, store: RuntimeRecordStore, edit: Edit) -> None:
        leaves = RuntimeRecord("leaves", "c1", "http://h:1")
        stays = RuntimeRecord("stays", "c1", "http://h:2")
        await edit([leaves, stays])
        assert await running(store) == {"leaves": leaves, "stays": stays}
        restarted = RuntimeRecord("stays", "c2", "http://h:3")
        comes = RuntimeRecord("comes", "c1", "http://h:4")
        await edit([restarted, comes])
        assert await running(store) == {"stays": restarted, "comes": comes}
        await edit([RuntimeRecord("comes", "c1", "http://h:4", "stopped")])
        assert await running(store) == {}

    async def test_a_listing_does_not_change_after_it_was_returned(self, store: RuntimeRecordStore, edit: Edit) -> None:
        await edit([RuntimeRecord("game-7", "c1", "http://h:1")])
        listing = await store.list_by_status(RUNNING)
        await edit([])
        assert await running(store) == {}
        assert listing == [RuntimeRecord("game-7", "c1", "http://h:1")]

    async def test_an_endpoint_is_listed_as_it_was_written(self, store: RuntimeRecordStore, edit: Edit) -> None:
        endpoints = [
            "http://h:1/",
            "HTTP://h",
            "h:1",
            "",
            "http://user:pass@h:1/a b?c#d",
            "http://[::1]:8080",
            "http://ñ",
        ]
        records = [RuntimeRecord(f"game-{i}", "", endpoint) for i, endpoint in enumerate(endpoints)]
        await edit(records)
        assert await running(store) == {record.game_id: record for record in records}

    async def test_odd_game_ids_are_games_of_their_own(self, store: RuntimeRecordStore, edit: Edit) -> None:
        records = [RuntimeRecord(game_id, game_id, "http://h:1") for game_id in ODD_GAME_IDS]
        await edit(records)
        assert await running(store) == {record.game_id: record for record in records}

    async def test_ten_thousand_records_are_listed_at_once(self, store: RuntimeRecordStore, edit: Edit) -> None:
        records = [RuntimeRecord(f"game-{i}", f"c{i}", f"http://10.0.{i // 250}.{i % 250}:80") for i in range(10_000)]
        await edit(records)
        assert await running(store) == {record.game_id: record for record in records}


@pytest.mark.asyncio
class RecordSettingsContract:
    """For stores that hold a game's own probe settings, its silence and its labels.

    With the fixtures of RecordStoreContract.
    """

    async def test_settings_silence_and_labels_are_listed_as_they_were_written(
        self, store: RuntimeRecordStore, edit: Edit
    ) -> None:
        until = datetime(2026, 11, 25, 14, 30, 0, 250_000, tzinfo=UTC)
        settings = '{"path": "/ready", "expect": {"status": [200, "202-204"]}}'
        asked = RuntimeRecord("asked", "c1", "http://h:1", probe=settings)
        silenced = RuntimeRecord("silenced", "c1", "http://h:2", silenced_until=until, silenced_why="new version")
        labelled = RuntimeRecord("labelled", "c1", "http://h:4", labels=LABELS)
        plain = RuntimeRecord("plain", "c1", "http://h:3")
        await edit([asked, silenced, labelled, plain])
        found = await running(store)
        assert found == {"asked": asked, "silenced": silenced, "labelled": labelled, "plain": plain}
        later = replace(silenced, silenced_until=until + timedelta(hours=1))
        await edit([asked, later, plain])
        assert await running(store) == {"asked": asked, "silenced": later, "plain": plain}
