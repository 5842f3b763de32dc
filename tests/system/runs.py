"""Runs of the whole program: `healthprobe run` in processes of its own."""

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
from tests.support.program import PROGRAM, Document, begun, clean_environment, documents
from tests.support.waiting import until

from healthprobe.adapters.sql import SqlDatabase, SqlLog, SqlRecords
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.record import RuntimeRecord

GAMES = "games.json"
LOG = "log.db"
IN_FILE, EMBEDDED = f"file:{GAMES}", f"sqlite:{LOG}"
"""Where runs find their games, in their folder. The log is always in the database."""


class Run:
    """One `healthprobe run`. Its output goes to files, so that it never waits for a reader."""

    def __init__(self, folder: Path, number: int, command: tuple[str, ...]) -> None:
        self._output_file = folder / f"printed-{number}.jsonl"
        self._log_file = folder / f"log-{number}.jsonl"
        with self._output_file.open("w") as printed, self._log_file.open("w") as log:
            if command[: len(PROGRAM)] == PROGRAM:
                self.process = begun(command[len(PROGRAM) :], {}, cwd=folder, stdout=printed, stderr=log)
            else:
                self.process = subprocess.Popen(
                    command, cwd=folder, env=clean_environment({}), stdout=printed, stderr=log
                )

    @property
    def is_up(self) -> bool:
        return self.process.poll() is None

    @property
    def printed(self) -> list[Document]:
        """The events that the relay has printed, without an incomplete last line."""
        return documents(self._whole_lines(self._output_file))

    @property
    def has_printed(self) -> bool:
        return self._output_file.stat().st_size > 0

    def logged(self, message: str) -> list[Document]:
        """Returns the log lines so far with this message."""
        lines = [line for line in self._whole_lines(self._log_file) if line.startswith("{")]
        return [line for line in documents(lines) if line["msg"] == message]

    async def started(self) -> float:
        """Waits until the first tick and returns its wall time in seconds."""
        message = "health probe worker started"
        await until(lambda: self.logged(message) or not self.is_up, "the program has begun")
        if not self.logged(message):
            pytest.fail(f"the program ended with {self.process.wait()}: {self._log_file.read_text()}")
        return datetime.fromisoformat(self.logged(message)[0]["time"]).timestamp()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def stopped(self) -> Document:
        """Sends SIGTERM, waits for the clean end and returns the figures of the last log line."""
        self.send(signal.SIGTERM)
        await until(lambda: not self.is_up, "the program has stopped")
        assert self.process.returncode == 0, self._log_file.read_text()
        return self.logged("stopped")[0]

    def kill(self) -> None:
        """Sends SIGKILL and waits for the end. Does nothing if the run has ended."""
        self.process.kill()
        self.process.wait()

    @staticmethod
    def _whole_lines(file: Path) -> list[str]:
        return file.read_text().split("\n")[:-1]


class Runs:
    """Runs of the program in one folder, one after the other or at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs: list[Run] = []

    @property
    def log(self) -> Path:
        return self.folder / LOG

    def watch(self, endpoints: Mapping[str, str]) -> None:
        """Writes these games as the running ones."""
        self.write(json.dumps([asdict(record) for record in records_of(endpoints)]))

    def write(self, games: str) -> None:
        """Replaces the file of games, atomically."""
        draft = self.folder / "draft.json"
        draft.write_text(games)
        draft.rename(self.folder / GAMES)

    async def embed(self, endpoints: Mapping[str, str]) -> None:
        """Puts these games into the log's own database."""
        database = await SqlDatabase.open(f"sqlite:{self.log}")
        try:
            await SqlRecords(database).put(records_of(endpoints))
        finally:
            await database.aclose()

    def start(
        self,
        options: str,
        *,
        records: str = IN_FILE,
        prefix: tuple[str, ...] = (),
        program: tuple[str, ...] = PROGRAM,
    ) -> Run:
        """Start the program with `options`; `prefix` is a command that runs it, such as one that sets a limit.

        `program` is what is run instead, where the world of the program itself is another.
        """
        command = (*prefix, *program, "run", "--records", records, "--log", EMBEDDED, *options.split())
        run = Run(self.folder, len(self._runs), command)
        self._runs.append(run)
        return run

    @property
    def printed(self) -> list[Document]:
        """What all runs have printed, one after the other."""
        return [event for run in self._runs for event in run.printed]

    @property
    def event_count(self) -> int:
        """How many events the log holds now; others may be writing to it."""
        with closing(sqlite3.connect(f"{self.log.as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM health_events").fetchone()[0])

    async def events(self) -> list[HealthEvent]:
        """Returns the events of the log, in its order."""
        return await events_in(self.log)

    def end(self) -> None:
        for run in self._runs:
            run.kill()


def records_of(endpoints: Mapping[str, str]) -> list[RuntimeRecord]:
    return [RuntimeRecord(game_id, f"container-of-{game_id}", endpoint) for game_id, endpoint in endpoints.items()]


async def events_in(log: Path) -> list[HealthEvent]:
    """Returns the events of a log, in its order, and checks that its cursors have no gap."""
    database = await SqlDatabase.open(f"sqlite:{log}", create=False)
    try:
        entries = await SqlLog(database).read(0, 1_000_000)
    finally:
        await database.aclose()
    assert [entry.cursor for entry in entries] == list(range(1, len(entries) + 1))
    return [entry.event for entry in entries]
