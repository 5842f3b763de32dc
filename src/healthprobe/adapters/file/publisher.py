"""The file as a bus: one event a line, appended and on the disk before it counts as delivered."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from pathlib import Path
from typing import Self

from healthprobe.domain.event import HealthEvent
from healthprobe.ports import ConfigurationError, PublishError

_OURS = b'{"id":'
"""How every line of ours begins."""

_LONGEST_LINE = 1 << 20
_LOCK_PATIENCE = 5.0
_LOCK_POLL = 0.01

_ADVICE = {
    errno.ENOENT: "its folder does not exist: create it, or name another",
    errno.ENOTDIR: "its folder is not a folder: name another",
    errno.EISDIR: "it is a folder: name a file in it",
    errno.EACCES: "it may not be written: give this user the permission, or name another file",
    errno.EPERM: "it may not be written: give this user the permission, or name another file",
    errno.EROFS: "its disk is mounted read-only: name a file elsewhere",
    errno.ENOSPC: "its disk is full: free some space",
    errno.EDQUOT: "the disk quota of this user is used up: free some space",
    errno.EFBIG: "it may not grow any further: rotate it, or raise the limit on file sizes",
    errno.EWOULDBLOCK: "another process has held its lock for too long: end that process",
}


class FilePublisher:
    """Appends events to a file as lines, each batch in one write that is on the disk when `publish` returns.

    The file may be renamed, removed, replaced or cut short at any time, as logrotate does: the next batch goes into the
    file that then has the name. Several processes may append to one file. Everything is done on a thread.
    """

    def __init__(self, path: Path, render: Callable[[HealthEvent], str]) -> None:
        self._path = path
        self._render = render
        self._turn = threading.Lock()
        self._file = -1

    @classmethod
    async def open(cls, path: Path, render: Callable[[HealthEvent], str]) -> Self:
        """A publisher for `path`, which is created where it is missing; `render` makes an event a line with its end.

        Raises ConfigurationError where it cannot be written, and where it holds anything but lines of events.
        """
        publisher = cls(path, render)
        try:
            await asyncio.to_thread(publisher._append, b"")
        except OSError as error:
            await publisher.aclose()
            raise ConfigurationError(publisher._plainly(error)) from None
        return publisher

    async def publish(self, events: Sequence[HealthEvent]) -> None:
        """Append `events` in order; returns when they are on the disk.

        Raises PublishError; then none of them stands in the file, or all before one that is no text, which is
        permanently refused. A call that is cancelled still appends its whole batch.
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
                await asyncio.to_thread(self._append, b"".join(lines))
            except OSError as error:
                raise PublishError(self._plainly(error)) from None
        if refused is not None:
            message = f"an event cannot be written as text: {refused}"
            raise PublishError(message, permanent=True, delivered=len(lines)) from None

    async def aclose(self) -> None:
        """Close the file."""
        await asyncio.to_thread(self._let_go)

    def _append(self, data: bytes) -> None:
        with self._turn, self._locked() as file:
            _mend(file)
            if data:
                _write(file, data)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The file that has the name now, for us alone."""
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
        self._let_go_of_the_old()
        flags = os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            file = os.open(self._path, flags)
        except FileNotFoundError:
            file = os.open(self._path, flags | os.O_CREAT, 0o644)
            _sync_folder(self._path.parent)
        try:
            _refuse_what_is_not_ours(file)
        except OSError:
            os.close(file)
            raise
        self._file = file

    def _let_go(self) -> None:
        with self._turn:
            self._let_go_of_the_old()

    def _let_go_of_the_old(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _plainly(self, error: OSError) -> str:
        advice = _ADVICE.get(error.errno or 0) or error.strerror or str(error)
        return f"{self._path}: {advice}"


def _lock(file: int) -> None:
    """Keep other processes from the file; a lock that is not given for seconds is an error, not a wait for ever."""
    give_up = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            return flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise
            time.sleep(_LOCK_POLL)


def _refuse_what_is_not_ours(file: int) -> None:
    """No file of the user's may be damaged through a mistaken name. Raises OSError."""
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
    return (tail.startswith(_OURS) or _OURS.startswith(tail)) and _document(tail) is None


def _document(line: bytes) -> object:
    """What `line` says, or None where it is not JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _mend(file: int) -> None:
    """Remove a line that somebody was killed over; end any other that lacks its end."""
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
    """Append `data` and have it on the disk; where that fails, leave no part of it."""
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
