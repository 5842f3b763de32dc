"""The store in a JetStream bucket keeps its port's promises, with edits by another program."""

from collections.abc import Sequence

import pytest
from tests.servers import nats_fixtures, nats_records_fixtures
from tests.servers.nats_records_fixtures import OpenRecords, Watched

from healthprobe.adapters.nats import JetStreamRecords
from healthprobe.domain.record import RuntimeRecord
from healthprobe.testing.contracts import RecordSettingsContract, RecordStoreContract
from healthprobe.testing.contracts.records import Edit

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix
open_records = nats_records_fixtures.open_records


class TestJetStreamRecords(RecordStoreContract, RecordSettingsContract):
    @pytest.fixture
    async def watched(self, open_records: OpenRecords, nats_url: str) -> Watched:
        return await open_records(nats_url)

    @pytest.fixture
    def store(self, watched: Watched) -> JetStreamRecords:
        return watched.store

    @pytest.fixture
    async def edit(self, watched: Watched, open_records: OpenRecords, nats_url: str) -> Edit:
        other_program = (await open_records(nats_url)).store

        async def edit(records: Sequence[RuntimeRecord]) -> None:
            kept = {record.game_id for record in records}
            gone = [record.game_id for record in await other_program.list_all() if record.game_id not in kept]
            assert await other_program.remove(gone) == len(gone)
            await other_program.put(records)
            await watched.shows(*records)

        return edit
