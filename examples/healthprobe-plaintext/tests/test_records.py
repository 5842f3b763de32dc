"""The store keeps its port's promises, and names the line that it cannot read."""
# ruff: noqa: ASYNC240  the files have a few lines, and no other task runs on the loop

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.ports import StoreError
from healthprobe.testing.contracts import RecordStoreContract
from healthprobe.testing.contracts.records import Edit
from healthprobe_plaintext.records import COLUMNS, CsvRecords, open_records


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "games.csv"


class TestCsvRecords(RecordStoreContract):
    @pytest.fixture
    def store(self, path: Path) -> CsvRecords:
        return CsvRecords(path)

    @pytest.fixture
    def edit(self, path: Path) -> Edit:
        async def edit(records: Sequence[RuntimeRecord]) -> None:
            draft = path.with_suffix(".draft")
            with draft.open("w", newline="") as file:
                csv.writer(file).writerows(
                    [COLUMNS, *([getattr(record, name) for name in COLUMNS] for record in records)]
                )
            draft.replace(path)

        return edit


async def test_a_file_with_a_byte_order_mark_and_other_columns_is_read(path: Path) -> None:
    path.write_text("\ufeffstatus,owner,game_id,engine_endpoint,current_container_id\nrunning,ann,game-7,http://h:1,\n")
    async with open_records(f"csv:{path}") as store:
        assert await store.list_by_status(RUNNING) == [RuntimeRecord("game-7", "", "http://h:1")]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "games.csv cannot be read: No such file or directory"),
        (b"game_id,status\ngame-7,running\n", "games.csv:2: no current_container_id; write game_id,"),
        (
            b"game_id,current_container_id,engine_endpoint,status\na,b,c,running\nd,e\n",
            "games.csv:3: no engine_endpoint",
        ),
        (b"game_id,current_container_id,engine_endpoint,status\n,b,c,running\n", "games.csv:2: a game without an id"),
        (b"game_id\n\xff\n", "games.csv is not CSV in UTF-8"),
        (b'game_id\n"a" b\n', "games.csv is not CSV in UTF-8"),
    ],
)
async def test_an_error_names_the_line_that_cannot_be_read(path: Path, content: bytes | None, error: str) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=error):
        await CsvRecords(path).list_by_status(RUNNING)
