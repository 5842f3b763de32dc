"""Lives of the whole program: `healthprobe run` in processes of its own, told apart from their start to their end."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import pytest
from tests.support.program import PROGRAM, Document, clean_environment, documents
from tests.support.waiting import until

from healthprobe.adapters.sql import SqlDatabase, SqlLog, SqlRecords
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.record import RuntimeRecord

GAMES = "games.json"
LOG = "log.db"
IN_FILE, EMBEDDED = f"file:{GAMES}", f"sqlite:{LOG}"
"""Where lives find their games, in their folder; the log is always in the database."""


class Life:
    """One `healthprobe run`, from its start to its end. What it says goes to files, so that it never waits for us."""

    def __init__(self, folder: Path, number: int, command: tuple[str, ...]) -> None:
        self._printed = folder / f"printed-{number}.jsonl"
        self._told = folder / f"told-{number}.jsonl"
        with self._printed.open("w") as printed, self._told.open("w") as told:
            self.process = subprocess.Popen(command, cwd=folder, env=clean_environment({}), stdout=printed, stderr=told)

    @property
    def is_up(self) -> bool:
        return self.process.poll() is None

    @property
    def printed(self) -> list[Document]:
        """The events that the relay has printed. A last line that a kill tore off is none."""
        return documents(self._whole_lines(self._printed))

    @property
    def has_printed(self) -> bool:
        return self._printed.stat().st_size > 0

    def told(self, message: str) -> list[Document]:
        """The log lines so far that have this message."""
        lines = [line for line in self._whole_lines(self._told) if line.startswith("{")]
        return [line for line in documents(lines) if line["msg"] == message]

    async def began(self) -> float:
        """Wait until the first tick begins; wall time in seconds."""
        message = "health probe worker started"
        await until(lambda: self.told(message) or not self.is_up, "the program has begun")
        if not self.told(message):
            pytest.fail(f"the program ended with {self.process.wait()}: {self._told.read_text()}")
        return datetime.fromisoformat(self.told(message)[0]["time"]).timestamp()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def stopped(self) -> Document:
        """Stop it with SIGTERM, and wait for its clean end; the figures of its closing line."""
        self.send(signal.SIGTERM)
        await until(lambda: not self.is_up, "the program has stopped")
        assert self.process.returncode == 0, self._told.read_text()
        return self.told("stopped")[0]

    def kill(self) -> None:
        """kill -9, at once; returns when it is gone. Nothing happens to one that is gone already."""
        self.process.kill()
        self.process.wait()

    @staticmethod
    def _whole_lines(file: Path) -> list[str]:
        return file.read_text().split("\n")[:-1]


class Lives:
    """One life of the program after the other, or several beside each other, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lives: list[Life] = []

    @property
    def log(self) -> Path:
        return self.folder / LOG

    def watch(self, endpoints: Mapping[str, str]) -> None:
        """These are the running games from now on."""
        self.write(json.dumps([asdict(record) for record in records_of(endpoints)]))

    def write(self, games: str) -> None:
        """This is what the file of games says from now on, whole at any moment."""
        draft = self.folder / "draft.json"
        draft.write_text(games)
        draft.rename(self.folder / GAMES)

    async def embed(self, endpoints: Mapping[str, str]) -> None:
        """These are running games too, in the log's own database."""
        database = await SqlDatabase.open(f"sqlite:{self.log}")
        try:
            await SqlRecords(database).put(records_of(endpoints))
        finally:
            await database.aclose()

    def begin(
        self,
        options: str,
        *,
        records: str = IN_FILE,
        prefix: tuple[str, ...] = (),
        program: tuple[str, ...] = PROGRAM,
    ) -> Life:
        """Start the program with `options`; `prefix` is a command that runs it, such as one that sets a limit.

        `program` is what is run instead, where the world of the program itself is another.
        """
        command = (*prefix, *program, "run", "--records", records, "--log", EMBEDDED, *options.split())
        life = Life(self.folder, len(self._lives), command)
        self._lives.append(life)
        return life

    @property
    def printed(self) -> list[Document]:
        """What all lives have printed, one after the other."""
        return [event for life in self._lives for event in life.printed]

    @property
    def told_so_far(self) -> int:
        """How many events the log holds now, while somebody may be writing to it."""
        with closing(sqlite3.connect(f"{self.log.as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM health_events").fetchone()[0])

    async def events(self) -> list[HealthEvent]:
        """What the log holds, in its order."""
        return await events_in(self.log)

    def end(self) -> None:
        for life in self._lives:
            life.kill()


def records_of(endpoints: Mapping[str, str]) -> list[RuntimeRecord]:
    return [RuntimeRecord(game_id, f"container-of-{game_id}", endpoint) for game_id, endpoint in endpoints.items()]


async def events_in(log: Path) -> list[HealthEvent]:
    """What the log at this path holds, in its order; the places of its entries have no gap."""
    database = await SqlDatabase.open(f"sqlite:{log}", create=False)
    try:
        entries = await SqlLog(database).read(0, 1_000_000)
    finally:
        await database.aclose()
    assert [entry.cursor for entry in entries] == list(range(1, len(entries) + 1))
    return [entry.event for entry in entries]
