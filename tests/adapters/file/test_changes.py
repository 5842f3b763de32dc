"""A file that is written during a run: read only when it changes; if invalid, the same error each time."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    """Writes the file with an old time of modification, and returns when it counts as written to its end."""

    def write(text: str, stamp: float = LONG_AGO) -> None:
        path.write_text(text)
        os.utime(path, (stamp, stamp))
        settle()

    return write


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Has one entry for each time a file was read."""
    paths: list[Path] = []

    def read(path: Path, *, settled: bool = True) -> tuple[content.Signature | None, bytes]:
        paths.append(path)
        return content.read_content(path, settled=settled)

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


def copied(path: Path, text: str) -> None:
    """Writes into the file, as cp -p and touch -r do."""
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def renamed(path: Path, text: str) -> None:
    """Puts another file in its place, as rsync -t does."""
    other = path.with_suffix(".new")
    other.write_text(text)
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


def switched(path: Path, text: str) -> None:
    """Switches the link to the folder that the file is in, as Kubernetes does for a ConfigMap."""
    folder = path.parent / f"..{len(list(path.parent.iterdir()))}"
    folder.mkdir()
    (folder / path.name).write_text(text)
    os.utime(folder / path.name, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    link = path.parent / "..data_tmp"
    link.symlink_to(folder.name)
    link.replace(path.parent / "..data")
    if not path.is_symlink():
        path.unlink()
        path.symlink_to(f"..data/{path.name}")


@pytest.mark.parametrize("replace", [copied, renamed, switched])
async def test_a_change_is_seen_though_size_and_time_of_modification_are_the_same(
    path: Path, write: Write, replace: Callable[[Path, str], None]
) -> None:
    write(ONE)
    store = await FileRecords.open(path)
    for _ in range(3):
        for text, game in ((TWO, "game-2"), (ONE, "game-1")):
            replace(path, text)
            assert await games(store) == [game]


async def test_a_change_at_once_after_the_first_reading_is_seen(path: Path, write: Write) -> None:
    begin(path, ONE)
    store = await FileRecords.open(path)
    copied(path, TWO)
    assert await games(store) == ["game-2"]


@pytest.mark.parametrize("first", ["", ONE, ONE[:20], "["], ids=["empty", "shorter", "cut", "invalid"])
async def test_a_file_that_is_being_written_changes_nothing_until_its_end(path: Path, write: Write, first: str) -> None:
    write(ONE + TWO)
    store = await FileRecords.open(path)
    begin(path, first)
    end = threading.Timer(0.1, path.write_text, [TWO])
    end.start()
    assert await games(store) == ["game-2"]
    end.join()


async def test_a_run_may_begin_while_the_file_is_being_written(path: Path) -> None:
    begin(path, "- {game_id: game-1, ")
    end = threading.Timer(0.1, path.write_text, [ONE])
    end.start()
    assert await games(await FileRecords.open(path)) == ["game-1"]
    end.join()


async def test_a_file_that_is_written_all_the_time_is_read_all_the_same(
    path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "_SETTLED", 60.0)
    monkeypatch.setattr(content, "_PATIENCE", 0.1)
    begin(path, ONE)
    store = await FileRecords.open(path)
    for text, game in ((TWO, "game-2"), (ONE, "game-1")):
        copied(path, text)
        assert await games(store) == [game]


async def test_a_file_that_may_not_be_read_is_an_error_until_it_may(public_folder: Path) -> None:
    path = public_folder / "engines.yaml"
    begin(path, ONE)
    store = await FileRecords.open(path)
    listing = await store.list_by_status("running")
    path.chmod(0)
    with as_an_ordinary_user(), pytest.raises(StoreError, match="it may not be read: change its permissions"):
        await store.list_by_status("running")
    path.chmod(0o644)
    assert await store.list_by_status("running") is listing


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


def begin(path: Path, text: str) -> None:
    """Writes the beginning of a file, which may change again at once."""
    path.write_text(text)


def settle() -> None:
    time.sleep(content._SETTLED + 0.02)


@contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """Root may read every file."""
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)
