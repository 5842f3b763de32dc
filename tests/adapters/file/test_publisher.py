"""Events in a file: rotated, torn, shared between processes, on a full disk. No line is ever incomplete."""
# ruff: noqa: ASYNC240  the files have a few lines, and no other task runs

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest
from tests.adapters.scarcity import as_an_ordinary_user, filled, no_file_grows_beyond

from healthprobe.adapters.file import FilePublisher
from healthprobe.adapters.file import publisher as publisher_module
from healthprobe.adapters.stdout import line_of
from healthprobe.ports import ConfigurationError, PublishError
from healthprobe.testing.contracts.samples import failed, history

BATCH = [failed(f"game-{number}", 1, last_error="x" * 900) for number in range(300)]
ONE = failed("game-7", 1)

APPENDING = """
import asyncio, sys
from pathlib import Path
from healthprobe.adapters.file import FilePublisher
from healthprobe.adapters.stdout import line_of
from healthprobe.testing.contracts.samples import failed

async def main():
    path, name, batches = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    publisher = await FilePublisher.open(path, line_of)
    for batch in range(batches):
        await publisher.publish([failed(f"{name}-{batch}-{number}", 1, last_error="x" * 900) for number in range(20)])
    await publisher.aclose()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@pytest.fixture
async def publisher(path: Path) -> AsyncIterator[FilePublisher]:
    publisher = await FilePublisher.open(path, line_of)
    yield publisher
    await publisher.aclose()


def ids_in(path: Path) -> list[str]:
    """Returns the ids in the file. Every line must be complete."""
    text = path.read_text()
    assert not text or text.endswith("\n")
    return [json.loads(line)["id"] for line in text.splitlines()]


async def opened_and_published(path: Path) -> None:
    publisher = await FilePublisher.open(path, line_of)
    await publisher.publish([ONE])
    await publisher.aclose()


async def test_lines_are_those_of_standard_output(publisher: FilePublisher, path: Path) -> None:
    await publisher.publish(history("game-7", 3))
    assert path.read_text() == "".join(line_of(event) for event in history("game-7", 3))


async def test_a_batch_is_one_write_and_on_the_disk_before_it_is_acknowledged(
    publisher: FilePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    write, fsync = os.write, os.fsync

    def noted_write(file: int, data: memoryview) -> int:
        calls.append(f"write {len(data)}")
        return write(file, data)

    def noted_fsync(file: int) -> None:
        calls.append("fsync")
        fsync(file)

    monkeypatch.setattr(os, "write", noted_write)
    monkeypatch.setattr(os, "fsync", noted_fsync)
    await publisher.publish(BATCH)
    whole = sum(len(line_of(event)) for event in BATCH)
    assert [call for call in calls if call in {f"write {whole}", "fsync"}] == [f"write {whole}", "fsync"]


async def test_the_content_of_the_file_is_kept(path: Path) -> None:
    for _ in range(2):
        await opened_and_published(path)
    assert ids_in(path) == ["game-7:1"] * 2


class TestAFileThatIsNotOurs:
    @pytest.mark.parametrize(
        "content",
        [
            "- game_id: game-7\n",
            '{"game_id": "game-7"}\n',
            "[]\n",
            '["id", "event_type"]\n',
            "engines",
            '{"id":7,"engine_endpoint":"http://engine:8080"}',
            '{"id":"' + "x" * 2_000_000,
            "\n",
            "\0" * 100,
            "[" * 100_000 + "\n",
            '"' + "x" * 2_000_000 + '"\n',
        ],
    )
    async def test_is_refused_and_not_touched(self, path: Path, content: str) -> None:
        path.write_text(content)
        with pytest.raises(ConfigurationError, match=r"events\.jsonl: it holds something other than health events: "):
            await FilePublisher.open(path, line_of)
        assert path.read_text() == content

    async def test_that_gets_the_name_during_a_run_is_not_touched_either(
        self, publisher: FilePublisher, path: Path
    ) -> None:
        path.unlink()
        path.write_text("- game_id: game-7\n")
        with pytest.raises(PublishError, match="something other than health events") as refused:
            await publisher.publish([ONE])
        assert not refused.value.permanent
        assert path.read_text() == "- game_id: game-7\n"

    async def test_that_is_a_folder_or_a_pipe_is_refused(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ConfigurationError, match="pipe: it is not a regular file"):
            await FilePublisher.open(tmp_path / "pipe", line_of)
        with pytest.raises(ConfigurationError, match="it is a folder: name a file in it"):
            await FilePublisher.open(tmp_path, line_of)

    async def test_or_cannot_be_reached_is_refused_with_what_to_change(self, public_folder: Path) -> None:
        with pytest.raises(ConfigurationError, match="its folder does not exist: create it"):
            await FilePublisher.open(public_folder / "missing" / "events.jsonl", line_of)
        locked = public_folder / "locked"
        locked.mkdir()
        locked.chmod(0o555)
        with as_an_ordinary_user(), pytest.raises(ConfigurationError, match="may not be written: give this user the"):
            await FilePublisher.open(locked / "events.jsonl", line_of)


class TestARotation:
    async def test_by_renaming_begins_a_new_file(self, publisher: FilePublisher, path: Path) -> None:
        events = history("game-7", 4)
        await publisher.publish(events[:2])
        path.rename(path.with_suffix(".1"))
        await publisher.publish(events[2:])
        assert ids_in(path.with_suffix(".1")) == ["game-7:1", "game-7:2"]
        assert ids_in(path) == ["game-7:3", "game-7:4"]

    async def test_by_copying_and_truncating_continues_at_the_start(self, publisher: FilePublisher, path: Path) -> None:
        await publisher.publish(history("game-7", 3))
        os.truncate(path, 0)
        await publisher.publish([ONE])
        assert path.read_text() == line_of(ONE)

    async def test_by_removal_or_replacement_continues_in_the_file_of_that_name(
        self, publisher: FilePublisher, path: Path
    ) -> None:
        await publisher.publish([ONE])
        path.unlink()
        await publisher.publish([ONE])
        assert ids_in(path) == ["game-7:1"]
        path.with_suffix(".new").touch()
        path.with_suffix(".new").replace(path)
        await publisher.publish(history("game-8", 2))
        assert ids_in(path) == ["game-8:1", "game-8:2"]

    async def test_leaves_no_descriptor_behind(self, publisher: FilePublisher, path: Path) -> None:
        await publisher.publish([ONE])
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(20):
            path.unlink()
            await publisher.publish([ONE])
        assert len(list(Path("/proc/self/fd").iterdir())) == before


class TestATornTail:
    @pytest.mark.parametrize("cut", [1, 3, 6, 40, len(line_of(ONE)) - 2])
    @pytest.mark.parametrize("before", ["", line_of(failed("game-8", 1))])
    async def test_of_ours_is_removed(self, path: Path, before: str, cut: int) -> None:
        path.write_text(before + line_of(ONE)[:cut])
        await opened_and_published(path)
        assert path.read_text() == before + line_of(ONE)

    @pytest.mark.parametrize("tail", ["-- rotated by hand", line_of(failed("game-8", 1)).rstrip()])
    async def test_of_another_program_or_of_a_whole_event_is_ended(self, path: Path, tail: str) -> None:
        path.write_text(line_of(ONE) + tail)
        await opened_and_published(path)
        assert path.read_text() == line_of(ONE) + tail + "\n" + line_of(ONE)

    async def test_that_another_process_leaves_during_a_run_is_removed(
        self, publisher: FilePublisher, path: Path
    ) -> None:
        await publisher.publish([ONE])
        with path.open("a") as other:
            other.write(line_of(ONE)[:50])
        await publisher.publish([ONE])
        assert ids_in(path) == ["game-7:1"] * 2


class TestAFullDisk:
    async def test_fails_and_continues_when_there_is_space_again(self, small_disk: Path) -> None:
        path = small_disk / "events.jsonl"
        publisher = await FilePublisher.open(path, line_of)
        await publisher.publish([ONE])
        with filled(small_disk):
            for _ in range(3):
                with pytest.raises(
                    PublishError, match=r"events\.jsonl: its disk is full: free some space\Z"
                ) as refused:
                    await publisher.publish(BATCH)
                assert (refused.value.permanent, refused.value.delivered) == (False, 0)
            assert ids_in(path) == ["game-7:1"]
        await publisher.publish(BATCH)
        await publisher.aclose()
        assert len(ids_in(path)) == 1 + len(BATCH)

    async def test_that_cuts_a_batch_leaves_no_half_line(self, publisher: FilePublisher, path: Path) -> None:
        await publisher.publish([ONE])
        with no_file_grows_beyond(100_000), pytest.raises(PublishError, match="it may not grow any further") as refused:
            await publisher.publish(BATCH)
        assert (refused.value.permanent, refused.value.delivered) == (False, 0)
        assert ids_in(path) == ["game-7:1"]
        await publisher.publish(BATCH)
        assert len(ids_in(path)) == 1 + len(BATCH)


async def test_an_event_that_cannot_be_encoded_is_refused_and_those_before_it_are_delivered(
    publisher: FilePublisher, path: Path
) -> None:
    with pytest.raises(PublishError, match="cannot be written as text") as refused:
        await publisher.publish([*history("game-7", 2), failed("\ud800", 1), failed("game-8", 1)])
    assert (refused.value.permanent, refused.value.delivered) == (True, 2)
    assert ids_in(path) == ["game-7:1", "game-7:2"]


async def test_a_cancelled_batch_is_whole_and_the_next_comes_after_it(publisher: FilePublisher, path: Path) -> None:
    for _ in range(20):
        publishing = asyncio.create_task(publisher.publish(BATCH))
        await asyncio.sleep(0)
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
    await publisher.publish([ONE])
    ids = ids_in(path)
    assert ids[-1] == "game-7:1"
    assert ids[:-1] == [event.id for event in BATCH] * (len(ids) // len(BATCH))


async def test_processes_that_share_a_file_do_not_tear_each_other_s_lines(path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", APPENDING, str(path)]
    writers = [await asyncio.create_subprocess_exec(*command, name, "25", stderr=PIPE) for name in "abc"]
    for writer in writers:
        _, complaints = await writer.communicate()
        assert (writer.returncode, complaints) == (0, b"")
    ids = ids_in(path)
    assert len(ids) == len(set(ids)) == 3 * 25 * 20
    for name in "abc":
        assert [each for each in ids if each.startswith(name)] == [
            f"{name}-{batch}-{number}:1" for batch in range(25) for number in range(20)
        ]


async def test_after_kill_9_during_a_batch_the_next_start_repairs_the_last_line(path: Path) -> None:
    command = [sys.executable, "-c", APPENDING, str(path), "a", "100000"]
    for _ in range(3):
        size = path.stat().st_size if path.exists() else 0
        writer = await asyncio.create_subprocess_exec(*command)
        async with asyncio.timeout(60):
            while not path.exists() or path.stat().st_size < size + 200_000:  # noqa: ASYNC110  a file sends no notification
                await asyncio.sleep(0.001)
        writer.kill()
        await writer.wait()
    await opened_and_published(path)
    assert ids_in(path)[-1] == "game-7:1"


async def test_a_process_that_keeps_the_lock_causes_an_error_after_a_timeout(
    publisher: FilePublisher, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "_LOCK_TIMEOUT", 0.05)
    with path.open() as other:
        flock(other, LOCK_EX)
        with pytest.raises(PublishError, match="another process has held its lock for too long") as refused:
            await publisher.publish([ONE])
    assert not refused.value.permanent
    await publisher.publish([ONE])
    assert ids_in(path) == ["game-7:1"]
