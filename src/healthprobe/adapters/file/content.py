"""The content of a file that somebody else writes, and the signature by which a change is seen."""

from __future__ import annotations

import os
import time
from pathlib import Path
from stat import S_ISREG

MAX_BYTES = 64 * 1024 * 1024
"""The largest file that is read."""

_FRESH = 0.1
"""How young a file may be, in seconds, for its next change to bear the very same time stamp."""

Signature = tuple[int, int, int]
"""Modification time in nanoseconds, size, inode."""


class Unreadable(Exception):
    """A file cannot be read. The message says why and what to change, and is the same as long as that is."""


def signature_of(path: Path) -> Signature:
    """The signature of the file now; raises Unreadable where there is none."""
    try:
        return _signature(path.stat())
    except (OSError, ValueError) as error:
        raise Unreadable(_reason(error)) from error


def read_content(path: Path) -> tuple[Signature | None, bytes]:
    """The content and its signature, or None for it where the file may still be changing. Raises Unreadable.

    A file written a moment ago can be written again without a new time stamp: it is read once more next time.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not S_ISREG(status.st_mode):
                raise Unreadable("it is not a file: give the path of a JSON or YAML file")
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Unreadable(_reason(error)) from error
    if len(content) > MAX_BYTES:
        raise Unreadable(f"it is larger than {MAX_BYTES // 1024 // 1024} MiB: split it, or use a database")
    is_settled = abs(time.time() - status.st_mtime) > _FRESH
    return (_signature(status) if is_settled else None), content


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting: opening a FIFO would wait for whoever writes to it."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _signature(status: os.stat_result) -> Signature:
    return status.st_mtime_ns, status.st_size, status.st_ino


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file: create it, or correct the path"
    if isinstance(error, PermissionError):
        return "it may not be read: change its permissions"
    if isinstance(error, IsADirectoryError):
        return "it is a folder: give the path of a JSON or YAML file"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
