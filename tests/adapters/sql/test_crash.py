"""Promise 2 under kill -9: every acknowledged event is in the log; no gap, no duplicate."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.waiting import PATIENCE

from healthprobe.adapters.sql import SqlDatabase, SqlLog

pytestmark = pytest.mark.slow

APPENDER = Path(__file__).with_name("appender.py")


class Appenders:
    """Programs that append to the log at `path`, and the ids of the events that were acknowledged to them."""

    def __init__(self, path: Path) -> None:
        self.acknowledged: list[str] = []
        self._running: Counter[int] = Counter()
        self._parent = subprocess.Popen([sys.executable, APPENDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._orders = self._parent.stdin
        self._words = self._parent.stdout

    def begin(self) -> None:
        self._orders.write(b"go\n")
        self._orders.flush()
        before = len(self._running)
        while len(self._running) == before:
            self._listen()

    def wait_until_each_has(self, acknowledgements: int) -> None:
        while min(self._running.values()) < acknowledgements:
            self._listen()

    def kill(self, *, after: float = 0.0) -> None:
        """kill -9 all of them after so many seconds; returns when they are gone and their last words were heard."""
        time.sleep(after)
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)
        for pid in self._running:
            with suppress(ProcessLookupError):
                while True:
                    os.kill(pid, 0)
                    time.sleep(0.0005)
        os.set_blocking(self._words.fileno(), False)
        while self._listen():
            pass
        os.set_blocking(self._words.fileno(), True)
        self._running.clear()

    def end(self) -> None:
        self.kill()
        self._orders.close()
        self._words.close()
        self._parent.wait(PATIENCE)

    def _listen(self) -> bool:
        words = self._words.readline().decode().split()
        match words:
            case [pid, "begins"]:
                self._running[int(pid)] = 0
            case [pid, event_id]:
                self._running[int(pid)] += 1
                self.acknowledged.append(event_id)
            case _:
                assert self._parent.poll() is None
        return bool(words)


@pytest.fixture
def appenders(path: Path) -> Iterator[Appenders]:
    appenders = Appenders(path)
    yield appenders
    appenders.end()


async def ids_in(path: Path) -> list[str]:
    """Returns the ids of all events in the log, in order. Cursors and sequences must be without gaps."""
    database = await SqlDatabase.open(f"sqlite:{path}")
    entries = await SqlLog(database).read(0, 1_000_000)
    await database.aclose()
    assert [entry.cursor for entry in entries] == list(range(1, len(entries) + 1))
    for game_id in {entry.event.game_id for entry in entries}:
        sequences = [entry.event.sequence for entry in entries if entry.event.game_id == game_id]
        assert sequences == list(range(1, len(sequences) + 1))
    return [entry.event.id for entry in entries]


async def test_kill_9_at_any_moment_loses_nothing_acknowledged_and_leaves_no_gap(
    appenders: Appenders, path: Path
) -> None:
    for _ in range(20):
        appenders.begin()
        appenders.wait_until_each_has(acknowledgements=1)
        appenders.kill(after=random.uniform(0, 0.03))
        assert set(appenders.acknowledged) <= set(await ids_in(path))
    assert len(appenders.acknowledged) == len(set(appenders.acknowledged)) > 80


async def test_kill_9_while_the_database_is_made_leaves_one_that_opens(appenders: Appenders, path: Path) -> None:
    for _ in range(15):
        appenders.begin()
        appenders.kill(after=random.uniform(0, 0.02))
        assert set(appenders.acknowledged) <= set(await ids_in(path))
        appenders.acknowledged.clear()
        for remains in path.parent.iterdir():
            remains.unlink()


async def test_two_programs_that_append_to_the_same_games_never_write_a_transition_twice(
    appenders: Appenders, path: Path
) -> None:
    appenders.begin()
    appenders.begin()
    appenders.wait_until_each_has(acknowledgements=40)
    appenders.kill()
    assert len(appenders.acknowledged) == len(set(appenders.acknowledged)) >= 80
    assert set(appenders.acknowledged) <= set(await ids_in(path))
