"""Publishes events to a file: one line an event, on the disk before it counts as delivered."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from pathlib import Path
from typing import Self

from healthprobe.adapters.file.errors import write_advice
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import ConfigurationError, PublishError

_LINE_START = b'{"id":'
"""The beginning of every line that is written here."""

_LONGEST_LINE = 1 << 20
_LOCK_TIMEOUT = 5.0
_LOCK_POLL = 0.01


class FilePublisher:
    """Appends events to a file as lines. Each batch is one write, on the disk when `publish` returns.

    The file may be renamed, removed, replaced or truncated at any time, as logrotate does: the next batch goes into the
    file that has the name then. Several processes may append to one file. All of the work is done on one
    thread, in order, also that of calls that were cancelled.
    """

    def __init__(self, path: Path, render: Callable[[HealthEvent], str]) -> None:
        self._path = path
        self._render = render
        self._thread = ThreadPoolExecutor(1, "healthprobe-file")
        self._file = -1

    @classmethod
    async def open(cls, path: Path, render: Callable[[HealthEvent], str]) -> Self:
        """Opens the file at `path`, or creates it. `render` returns an event as a line, with its line break.

        Raises ConfigurationError if the file cannot be written, or has anything but lines of events in it.
        """
        publisher = cls(path, render)
        try:
            await publisher._in_turn(publisher._append, b"")
        except OSError as error:
            await publisher.aclose()
            raise ConfigurationError(f"{path}: {write_advice(error)}") from None
        return publisher

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        """Appends `events` in order; returns when they are on the disk. A cancelled call appends all of them or none.

        Raises PublishError. Then none of them is in the file, or, if the error is permanent, all before the one that
        cannot be written as text.
        """
        lines: list[bytes] = []
        refused: UnicodeError | None = None
        for event in events:
            try:
                lines.append(self._render(event).encode())
            except UnicodeError as error:
                refused = error
                break
        if lines:
            try:
                await self._in_turn(self._append, b"".join(lines))
            except OSError as error:
                raise PublishError(f"{self._path}: {write_advice(error)}") from None
        if refused is not None:
            message = f"an event cannot be written as text: {refused}"
            raise PublishError(message, permanent=True, delivered=len(lines)) from None

    async def aclose(self) -> None:
        """Closes the file, after what was given to `publish`."""
        await self._in_turn(self._close_file)
        self._thread.shutdown()

    async def _in_turn(self, work: Callable[..., None], *arguments: bytes) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _append(self, data: bytes) -> None:
        with self._locked() as file:
            _repair_last_line(file)
            if data:
                _write(file, data)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Opens the file that has the name now, and locks it."""
        while True:
            if not self._is_current():
                self._reopen()
            file = self._file
            _lock(file)
            try:
                if self._is_current():
                    yield file
                    return
            finally:
                flock(file, LOCK_UN)

    def _is_current(self) -> bool:
        if self._file < 0:
            return False
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        self._close_file()
        flags = os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            file = os.open(self._path, flags)
        except FileNotFoundError:
            file = os.open(self._path, flags | os.O_CREAT, 0o644)
            _sync_folder(self._path.parent)
        try:
            _check_is_ours(file)
        except OSError:
            os.close(file)
            raise
        self._file = file

    def _close_file(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def check_file(path: Path) -> str:
    """Returns what a publisher would find at `path`, in words, and creates and changes nothing.

    Raises ConfigurationError if it could not write its events there.
    """
    try:
        try:
            file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            if not path.parent.is_dir():
                raise
            if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
                raise PermissionError(errno.EACCES, "no permission") from None
            return "a run creates it"
        try:
            _check_is_ours(file)
        finally:
            os.close(file)
    except OSError as error:
        raise ConfigurationError(f"{path}: {write_advice(error)}") from None
    return "it can be written"


def _lock(file: int) -> None:
    """Locks the file. Raises BlockingIOError after seconds in which another process had the lock."""
    deadline = time.monotonic() + _LOCK_TIMEOUT
    while True:
        try:
            return flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOCK_POLL)


def _check_is_ours(file: int) -> None:
    """Raises OSError for a file of another kind: a mistaken path must not damage it."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(None, "it is not a regular file: name one that is, or a new one")
    first, ended, _ = os.pread(file, _LONGEST_LINE, 0).partition(b"\n")
    torn = not ended and status.st_size == len(first) and _is_torn(first)
    if status.st_size and not torn and not _is_an_event(first):
        raise OSError(None, "it holds something other than health events: name another file, or a new one")


def _is_an_event(line: bytes) -> bool:
    document = _document(line)
    return isinstance(document, dict) and {"id", "event_type"} <= document.keys()


def _is_torn(tail: bytes) -> bool:
    return (tail.startswith(_LINE_START) or _LINE_START.startswith(tail)) and _document(tail) is None


def _document(line: bytes) -> object:
    """Returns the value of `line`, or None if it is not JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _repair_last_line(file: int) -> None:
    """Removes a line that a killed process left unfinished; ends any other that has no line break."""
    size = os.fstat(file).st_size
    start = max(size - _LONGEST_LINE, 0)
    if size == 0 or os.pread(file, 1, size - 1) == b"\n":
        return
    tail = os.pread(file, size - start, start)
    line_start = tail.rfind(b"\n") + 1
    if (line_start or not start) and _is_torn(tail[line_start:]):
        os.ftruncate(file, start + line_start)
    else:
        _write(file, b"\n")


def _write(file: int, data: bytes) -> None:
    """Appends `data` and syncs it to the disk. If that fails, removes what was written of it."""
    before = os.fstat(file).st_size
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    except OSError:
        with suppress(OSError):
            if os.fstat(file).st_size == before + len(data) - len(rest):
                os.ftruncate(file, before)
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
