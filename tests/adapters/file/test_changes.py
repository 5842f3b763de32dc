"""A file that is written during a run: read only when it changes; if invalid, the same error each time."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from healthprobe.adapters.file import FileRecords, content, read_records, records
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError, StoreError

ONE = "- {game_id: game-1, engine_endpoint: 'http://h:1'}\n"
TWO = "- {game_id: game-2, engine_endpoint: 'http://h:2'}\n"
BROKEN = "- {game_id: game-1, engine_endpoint: 1}\n"

LONG_AGO = 1_700_000_000

Write = Callable[..., None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engines.yaml"


@pytest.fixture
def write(path: Path) -> Write:
    """Writes the file, with an old time stamp: a second change cannot have the same one."""

    def write(text: str, stamp: float = LONG_AGO) -> None:
        path.write_text(text)
        os.utime(path, (stamp, stamp))

    return write


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Has one entry for each time a file was read."""
    paths: list[Path] = []

    def read(path: Path) -> tuple[content.Signature | None, bytes]:
        paths.append(path)
        return content.read_content(path)

    monkeypatch.setattr(records, "read_content", read)
    return paths


async def games(store: FileRecords) -> list[str]:
    return [record.game_id for record in await store.list_by_status("running")]


async def test_an_unchanged_file_is_read_once(path: Path, write: Write, readings: list[Path]) -> None:
    write(ONE)
    store = await FileRecords.open(path)
    listing = await store.list_by_status("running")
    assert listing == [RuntimeRecord("game-1", "", "http://h:1")]
    for _ in range(5):
        assert await store.list_by_status("running") is listing
    assert readings == [path]


async def test_a_file_rewritten_with_the_same_content_gives_the_same_list_object(path: Path, write: Write) -> None:
    write(ONE)
    store = await FileRecords.open(path)
    listing = await store.list_by_status("running")
    write("# now with a comment\n" + ONE, LONG_AGO + 1)
    assert await store.list_by_status("running") is listing


async def test_a_change_shows_at_the_next_listing(path: Path, write: Write) -> None:
    write(ONE)
    store = await FileRecords.open(path)
    write(ONE + TWO)
    assert await games(store) == ["game-1", "game-2"]
    write(TWO, LONG_AGO + 1)
    assert await games(store) == ["game-2"]


async def test_a_replaced_file_is_read_even_if_size_and_time_are_the_same(path: Path, write: Write) -> None:
    write(ONE)
    store = await FileRecords.open(path)
    replace_alike(path, TWO)
    assert await games(store) == ["game-2"]


async def test_a_second_change_with_the_same_time_stamp_is_seen(
    path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "_FRESH", 60.0)
    now = time.time()
    write(ONE, now)
    store = await FileRecords.open(path)
    write(TWO, now)
    assert await games(store) == ["game-2"]


async def test_an_invalid_file_raises_the_same_error_each_time_and_is_parsed_once(
    path: Path, write: Write, readings: list[Path]
) -> None:
    write(ONE)
    store = await FileRecords.open(path)
    write(TWO + BROKEN)
    messages = set()
    for _ in range(4):
        with pytest.raises(StoreError) as refused:
            await store.list_by_status("running")
        assert not refused.value.permanent
        messages.add(str(refused.value))
    assert messages == {f"{path}:2: engine_endpoint: expected text, and this is a number; quote it"}
    assert len(readings) == 2


async def test_a_repaired_file_is_listed_again(path: Path, write: Write) -> None:
    write(ONE)
    store = await FileRecords.open(path)
    listing = await store.list_by_status("running")
    write(BROKEN)
    with pytest.raises(StoreError):
        await store.list_by_status("running")
    write(ONE, LONG_AGO + 1)
    assert await store.list_by_status("running") is listing


async def test_a_missing_file_raises_the_same_error_each_time_and_is_listed_when_it_returns(
    path: Path, write: Write
) -> None:
    write(ONE)
    store = await FileRecords.open(path)
    listing = await store.list_by_status("running")
    away = path.with_suffix(".away")
    move(path, away)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"engines\.yaml: there is no such file: create it, or correct the path\Z"):
            await store.list_by_status("running")
    move(away, path)
    assert await store.list_by_status("running") is listing


async def test_a_truncated_file_removes_no_game_from_the_list(path: Path, write: Write) -> None:
    write(ONE)
    store = await FileRecords.open(path)
    write("")
    with pytest.raises(StoreError, match=r"it is empty"):
        await store.list_by_status("running")


async def test_each_status_has_a_list_of_its_own(path: Path, write: Write) -> None:
    write(ONE + "- {game_id: game-3, engine_endpoint: 'http://h:3', status: stopped}\n")
    store = await FileRecords.open(path)
    assert await games(store) == ["game-1"]
    assert [record.game_id for record in await store.list_by_status("stopped")] == ["game-3"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.mkdir, "it is a folder: give the path of a JSON or YAML file"),
        (os.mkfifo, "it is not a file: give the path of a JSON or YAML file"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("nowhere"), "there is no such file: create it, or correct the path"),
    ],
)
async def test_what_is_not_a_file_is_refused_at_once(path: Path, make: Callable[[Path], None], message: str) -> None:
    make(path)
    with pytest.raises(ConfigurationError) as refused:
        await FileRecords.open(path)
    assert str(refused.value) == f"{path}: {message}"


async def test_a_file_of_any_size_is_not_read(path: Path, write: Write) -> None:
    write("")
    os.truncate(path, content.MAX_BYTES + 1)
    with pytest.raises(ConfigurationError, match=r"it is larger than 64 MiB: split it, or use a database\Z"):
        await FileRecords.open(path)


def test_a_file_that_is_read_once_gives_all_its_records(path: Path, write: Write) -> None:
    write("\ufeff" + ONE + "- {game_id: game-3, engine_endpoint: 'http://h:3', status: stopped}\n")
    assert [record.game_id for record in read_records(path)] == ["game-1", "game-3"]
    path.write_bytes(b"- game_id: ma\xf1ana\n")
    with pytest.raises(ConfigurationError, match=r"engines\.yaml:1: not UTF-8 text: save the file as UTF-8\Z"):
        read_records(path)


def move(path: Path, to: Path) -> None:
    path.rename(to)


def replace_alike(path: Path, text: str) -> None:
    """Replaces `path` by another file of the same size and time stamp."""
    before = path.stat()
    other = path.with_suffix(".new")
    other.write_text(text)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
