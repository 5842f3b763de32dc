"""A file of JSON lines that several programs may share. Each line is a transaction."""

from __future__ import annotations

import fcntl
import io
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from healthprobe.ports import LogError

Line = dict[str, Any]


class Journal:
    """Appends and reads lines. A line is complete and on the disk, or absent: a line that a crash cut off is dropped.

    `locked` excludes all other users, in this process and in others; call the other methods inside it, on a thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: io.FileIO | None = None
        self._end = 0
        """The offset of the first line that was not read yet."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Locks the file. Raises LogError where it cannot be opened, read or written."""
        with self._lock:
            try:
                file = self._lock_file()
                try:
                    yield
                finally:
                    fcntl.flock(file, fcntl.LOCK_UN)
            except OSError as error:
                raise LogError(f"{self._path} cannot be used: {error.strerror or error}") from error

    def catch_up(self, apply: Callable[[Line], None], reset: Callable[[], None]) -> None:
        """Applies the lines that were not read yet, also our own. If the file is new, calls `reset` and applies all."""
        file = self._current()
        if self._end == 0:
            reset()
        file.seek(self._end)
        for line in io.BytesIO(file.readall()):
            if not line.endswith(b"\n"):
                break
            try:
                apply(json.loads(line))
            except (ValueError, LookupError, TypeError) as error:
                message = f"{self._path}: byte {self._end} is not the start of a line of this log; repair or remove it"
                raise LogError(message, permanent=True) from error
            self._end += len(line)

    def append(self, line: Line) -> None:
        """Appends `line` after all that was read. It is on the disk when this returns."""
        file = self._current()
        try:
            file.seek(self._end)
            file.truncate()
            _write(file, line)
        except OSError:
            with suppress(OSError):
                file.truncate(self._end)
            raise

    def rewrite(self, lines: Iterable[Line]) -> None:
        """Replaces the file by one with `lines` alone. Other users read the new file from the start."""
        draft = self._path.with_name(f"{self._path.name}.draft")
        with io.FileIO(draft, "w") as file:
            _write(file, *lines)
        draft.replace(self._path)
        self._sync_folder()

    def close(self) -> None:
        """Closes the file, after the current user has unlocked it."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _lock_file(self) -> io.FileIO:
        """Returns the file at the path, locked. It may have been replaced while we waited for the lock."""
        while True:
            file = self._file or self._open()
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(file.fileno()), self._path.stat()):
                return file
            file.close()
            self._file = None

    def _open(self) -> io.FileIO:
        is_new = not self._path.exists()
        self._file, self._end = io.FileIO(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644), "r+"), 0
        if is_new:
            self._sync_folder()
        return self._file

    def _current(self) -> io.FileIO:
        assert self._file is not None
        return self._file

    def _sync_folder(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _write(file: io.FileIO, *lines: Line) -> None:
    rest = memoryview("".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines).encode())
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())
