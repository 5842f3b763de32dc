"""Standard output as a real pipe: each line flushed, slow readers, readers that close it."""

import asyncio
import json
import os
import sys
import threading
from asyncio.subprocess import PIPE, Process

import pytest
from tests.support.waiting import PATIENCE

from healthprobe.adapters.stdout import StdoutPublisher
from healthprobe.ports import PublishError
from healthprobe.testing.contracts.samples import failed, history

PUBLISHING = """
import asyncio, os, sys
from healthprobe.adapters.stdout import StdoutPublisher
from healthprobe.ports import PublishError
from healthprobe.testing.contracts.samples import history

async def main():
    events, game_id, mode = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    os.set_blocking(1, mode == "blocking")
    publishing = asyncio.create_task(StdoutPublisher().publish(history(game_id, events)))
    turns = 0
    while not publishing.done() and turns < 200:
        await asyncio.sleep(0.001)
        turns += 1
    if not publishing.done():
        publishing.cancel()
    try:
        await publishing
    except PublishError as error:
        sys.exit(f"{error} ({error.permanent})")
    except asyncio.CancelledError:
        sys.exit(f"{turns} turns while the reader slept")

asyncio.run(main())
"""


async def publishing(events: int, stdout: int, game_id: str = "game-7", mode: str = "blocking") -> Process:
    command = [sys.executable, "-W", "error", "-c", PUBLISHING, str(events), game_id, mode]
    return await asyncio.create_subprocess_exec(*command, stdout=stdout, stderr=PIPE)


@pytest.mark.parametrize("mode", ["blocking", "non-blocking"])
@pytest.mark.parametrize(("events", "game_id"), [(3000, "game-7"), (10, "x" * 100_000)])
async def test_a_reader_gets_every_line_whole_and_in_order(events: int, game_id: str, mode: str) -> None:
    process = await publishing(events, PIPE, game_id, mode)
    printed, complaints = await process.communicate()
    assert (process.returncode, complaints) == (0, b"")
    assert [json.loads(line) for line in printed.splitlines()] == [e.as_document() for e in history(game_id, events)]


async def test_a_slow_reader_blocks_neither_the_loop_nor_the_end_of_the_process() -> None:
    reader, writer = os.pipe()
    process = await publishing(5000, writer)
    os.close(writer)
    _, complaints = await asyncio.wait_for(process.communicate(), PATIENCE)
    os.close(reader)
    assert complaints == b"200 turns while the reader slept\n"


async def test_a_closed_reader_is_a_permanent_error_in_plain_words() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = await publishing(1, writer)
    os.close(writer)
    _, complaints = await process.communicate()
    assert complaints == b"standard output was closed by its reader (True)\n"


class GuardedOutput:
    """Writes a line when the test allows it; `reached` counts the lines that wait or were written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.reached = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)

    def write(self, line: str) -> None:
        self.reached.release()
        self.gate.acquire()
        self.lines.append(line)

    async def is_reached(self, within: float = 10.0) -> bool:
        return await asyncio.to_thread(self.reached.acquire, timeout=within)


async def test_each_line_is_written_before_the_next_is_rendered() -> None:
    output = GuardedOutput()
    events = history("game-7", 3)
    task = asyncio.create_task(StdoutPublisher(output.write).publish(events))
    for count in range(3):
        assert await output.is_reached()
        assert len(output.lines) == count
        assert not task.done()
        output.gate.release()
    await task
    assert [json.loads(line) for line in output.lines] == [event.as_document() for event in events]
    assert all(line.endswith("}\n") and line.count("\n") == 1 for line in output.lines)


async def test_a_cancelled_delivery_ends_with_its_line_and_the_next_comes_after_it() -> None:
    output = GuardedOutput()
    publisher = StdoutPublisher(output.write)
    task = asyncio.create_task(publisher.publish(history("game-7", 3)))
    assert await output.is_reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    task = asyncio.create_task(publisher.publish(history("game-7", 2)))
    assert not await output.is_reached(within=0.05)
    output.gate.release(3)
    await task
    assert [json.loads(line)["id"] for line in output.lines] == ["game-7:1", "game-7:1", "game-7:2"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (OSError(28, "No space left on device"), ("standard output takes no more: No space left on device", False)),
        (BrokenPipeError(32, "Broken pipe"), ("standard output was closed by its reader", True)),
        (ValueError("I/O operation on closed file"), ("standard output was closed by its reader", True)),
    ],
)
async def test_an_error_of_the_output_says_whether_a_retry_helps(fault: Exception, expected: tuple[str, bool]) -> None:
    def write(line: str) -> None:
        raise fault

    with pytest.raises(PublishError) as refused:
        await StdoutPublisher(write).publish([failed("game-7", 1)])
    assert (str(refused.value), refused.value.permanent) == expected


async def test_an_error_of_the_given_writer_is_raised_unchanged() -> None:
    def write(line: str) -> None:
        raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        await StdoutPublisher(write).publish([failed("game-7", 1)])
