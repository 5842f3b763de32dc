"""The journal: a file of JSON lines that several programs may share, in which a line is a transaction."""

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
    """Lines that are whole and on the disk, or not there at all: what a crash tore off is dropped.

    `turn` keeps everybody else out, in this process and in others; the other methods are called inside it, on a thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._one_at_a_time = threading.Lock()
        self._file: io.FileIO | None = None
        self._end = 0
        """Where the next line begins that was not read yet."""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the file alone. Raises LogError where it cannot be reached, read or written."""
        with self._one_at_a_time:
            try:
                file = self._locked()
                try:
                    yield
                finally:
                    fcntl.flock(file, fcntl.LOCK_UN)
            except OSError as error:
                raise LogError(f"{self._path} cannot be used: {error.strerror or error}") from error

    def catch_up(self, apply: Callable[[Line], None], forget: Callable[[], None]) -> None:
        """Apply the lines that were not read yet, our own too; after `forget` all of them, where the file is new."""
        file = self._held()
        if self._end == 0:
            forget()
        file.seek(self._end)
        for line in io.BytesIO(file.readall()):
            if not line.endswith(b"\n"):
                break
            try:
                apply(json.loads(line))
            except (ValueError, LookupError, TypeError) as error:
                message = f"{self._path}: what stands at byte {self._end} is no line of this log; mend or remove it"
                raise LogError(message, permanent=True) from error
            self._end += len(line)

    def append(self, line: Line) -> None:
        """Put `line` behind all that was read; it is on the disk when this returns."""
        file = self._held()
        try:
            file.seek(self._end)
            file.truncate()
            _write(file, line)
        except OSError:
            with suppress(OSError):
                file.truncate(self._end)
            raise

    def begin_anew(self, lines: Iterable[Line]) -> None:
        """Put a file with `lines` alone in the place of this one; everybody reads it from its beginning."""
        draft = self._path.with_name(f"{self._path.name}.draft")
        with io.FileIO(draft, "w") as file:
            _write(file, *lines)
        draft.replace(self._path)
        self._sync_folder()

    def close(self) -> None:
        """Let go of the file, once whoever has the turn is through."""
        with self._one_at_a_time:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _locked(self) -> io.FileIO:
        """The file that has the path now, locked; while we waited for the lock, another may have taken its place."""
        while True:
            file = self._file or self._opened()
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(file.fileno()), self._path.stat()):
                return file
            file.close()
            self._file = None

    def _opened(self) -> io.FileIO:
        is_new = not self._path.exists()
        self._file, self._end = io.FileIO(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644), "r+"), 0
        if is_new:
            self._sync_folder()
        return self._file

    def _held(self) -> io.FileIO:
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
