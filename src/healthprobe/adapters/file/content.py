"""Reads a file that another program writes, and notices when it changes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from stat import S_ISREG

from healthprobe.adapters.file.errors import read_advice

MAX_BYTES = 64 * 1024 * 1024
"""The size of the largest file that is read."""

_FRESH = 0.1
"""The age of a file, in seconds, below which its next change may have the same time stamp."""

Signature = tuple[int, int, int]
"""Modification time in nanoseconds, size, inode."""


class UnreadableFile(Exception):
    """A file cannot be read. The message says why and what to change; the same cause always has the same message."""


def signature_of(path: Path) -> Signature:
    """Returns the signature of the file now. Raises UnreadableFile."""
    try:
        return _signature(path.stat())
    except (OSError, ValueError) as error:
        raise UnreadableFile(read_advice(error)) from error


def read_content(path: Path) -> tuple[Signature | None, bytes]:
    """Returns the file's signature and content. Raises UnreadableFile.

    The signature of a file that was written a moment ago is None, so that it is read again: it can change again without
    a new time stamp.
    """
    try:
        with open(path, "rb", opener=_open_nonblocking) as file:
            status = os.fstat(file.fileno())
            if not S_ISREG(status.st_mode):
                raise UnreadableFile("it is not a file: give the path of a JSON or YAML file")
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UnreadableFile(read_advice(error)) from error
    if len(content) > MAX_BYTES:
        raise UnreadableFile(f"it is larger than {MAX_BYTES // 1024 // 1024} MiB: split it, or use a database")
    is_fresh = abs(time.time() - status.st_mtime) <= _FRESH
    return (None if is_fresh else _signature(status)), content


def _open_nonblocking(path: str, flags: int) -> int:
    """Opens the file without waiting: for a FIFO, open() would wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _signature(status: os.stat_result) -> Signature:
    return status.st_mtime_ns, status.st_size, status.st_ino
