"""The log keeps its port's promises, also when two programs share it, and after a crash in the middle of a line."""
# ruff: noqa: ASYNC240  the files have a few lines, and no other task runs on the loop

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from healthprobe.ports import ConfigurationError, LogError
from healthprobe.testing.contracts import HealthEventLogContract
from healthprobe.testing.contracts.log import events_in
from healthprobe.testing.contracts.samples import AFTER_ALL_SAMPLES, failed, history, recovered
from healthprobe_plaintext.log import JsonlLog, open_log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@pytest.fixture
def log(path: Path) -> Iterator[JsonlLog]:
    log = JsonlLog(path)
    yield log
    log.close()


@pytest.fixture
def rival(path: Path) -> Iterator[JsonlLog]:
    rival = JsonlLog(path)
    yield rival
    rival.close()


class TestJsonlLog(HealthEventLogContract):
    @pytest.fixture
    def log(self, log: JsonlLog) -> JsonlLog:
        return log

    @pytest.fixture
    def rival(self, rival: JsonlLog) -> JsonlLog:
        return rival


@pytest.mark.parametrize("torn_at", [1, 40, -1])
async def test_a_batch_that_a_crash_cut_off_never_entered(
    log: JsonlLog, rival: JsonlLog, path: Path, torn_at: int
) -> None:
    await log.append([failed("game-7", 1)])
    whole = path.read_bytes()
    await log.append([recovered("game-7", 2), failed("game-8", 1)])
    log.close()
    path.write_bytes(whole + path.read_bytes()[len(whole) :][:torn_at])
    assert await events_in(rival) == [failed("game-7", 1)]
    assert await rival.append([recovered("game-7", 2)]) == [recovered("game-7", 2)]
    assert await events_in(rival) == history("game-7", 2)
    assert [list(json.loads(line)) for line in path.read_text().splitlines()] == [["entered"]] * 2


async def test_the_next_program_reads_the_whole_state(log: JsonlLog, rival: JsonlLog, path: Path) -> None:
    await log.append(history("game-7", 5))
    await log.save_cursor("bus", 4)
    assert await log.prune(AFTER_ALL_SAMPLES, through=3) == 3
    assert (await events_in(rival), await rival.load_cursor("bus")) == (history("game-7", 5)[3:], 4)
    assert len(path.read_text().splitlines()) == 2, "pruned events have left the file"


async def test_a_program_that_read_before_pruning_continues_after_it(log: JsonlLog, rival: JsonlLog) -> None:
    await log.append(history("game-7", 3))
    assert len(await events_in(rival)) == 3
    await log.prune(AFTER_ALL_SAMPLES, through=await log.end())
    assert await rival.append([recovered("game-7", 4)]) == [recovered("game-7", 4)]
    assert await events_in(log) == await events_in(rival) == history("game-7", 4)[2:]


@pytest.mark.parametrize("line", ["Dear reader,", '{"entered": [[1, {}]]}', '{"of": "a newer program"}', "[]"])
async def test_a_foreign_line_is_refused_and_left_alone(log: JsonlLog, path: Path, line: str) -> None:
    path.write_text(f"{line}\n")
    for _ in range(2):
        with pytest.raises(LogError, match=r"byte 0 is not the start of a line of this log") as refused:
            await log.append([failed("game-7", 1)])
        assert refused.value.permanent
    assert path.read_text() == f"{line}\n"


async def test_a_log_that_is_removed_while_in_use_is_not_recreated(log: JsonlLog, path: Path) -> None:
    await log.append([failed("game-7", 1)])
    path.unlink()
    with pytest.raises(LogError, match="No such file"):
        await log.append([recovered("game-7", 2)])
    assert not path.exists()


async def test_when_the_disk_is_full_append_raises_and_nothing_enters(
    log: JsonlLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.append([failed("game-7", 1)])

    def no_sync(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_sync)
    with pytest.raises(LogError, match=f"{path} cannot be used: No space left"):
        await log.append([recovered("game-7", 2)])
    monkeypatch.undo()
    assert await events_in(log) == [failed("game-7", 1)]
    assert await log.append([recovered("game-7", 2)]) == [recovered("game-7", 2)]


async def test_the_url_names_the_file(tmp_path: Path) -> None:
    async with open_log(f"jsonl:{tmp_path / 'events.jsonl'}") as log:
        await log.append([failed("game-7", 1)])
    assert (tmp_path / "events.jsonl").exists()
    for url, advice in {"jsonl:": "write jsonl:PATH", "jsonl:no/folder/log": "there is no folder no/folder"}.items():
        with pytest.raises(ConfigurationError, match=advice):
            await open_log(url).__aenter__()
