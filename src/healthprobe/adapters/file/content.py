"""Reads a file that another program writes, and notices when it changes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from stat import S_ISREG

from healthprobe.adapters.file.errors import read_advice

MAX_BYTES = 64 * 1024 * 1024
"""The size of the largest file that is read."""

_SETTLED = 0.15
"""Seconds without a change after which a file counts as written to its end; its next change has a new time stamp."""

_PATIENCE = 1.0
"""Seconds after which a file that does not settle is read as it is."""

_PAUSE = 0.03
"""Seconds between two looks at a file that is being written."""

Signature = tuple[int, int, int, int, int]
"""Device, inode, size, times of modification and of change in nanoseconds. Only the last cannot be set at will."""


class UnreadableFile(Exception):
    """A file cannot be read. The message says why and what to change; the same cause always has the same message."""


def signature_of(path: Path) -> Signature:
    """Returns the signature of the file now. Raises UnreadableFile."""
    try:
        return _signature(path.stat())
    except (OSError, ValueError) as error:
        raise UnreadableFile(read_advice(error)) from error


def read_content(path: Path, *, settled: bool = True) -> tuple[Signature | None, bytes]:
    """Returns the file's signature and content. Raises UnreadableFile.

    If `settled`, this waits while the file is being written: half of it may be a valid, shorter list. The signature of
    a file that has not settled is None, so that it is read again.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        signature, content = _read(path)
        if signature is not None or not settled or time.monotonic() >= deadline:
            return signature, content
        time.sleep(_PAUSE)


def _read(path: Path) -> tuple[Signature | None, bytes]:
    try:
        with open(path, "rb", opener=_open_nonblocking) as file:
            before = os.fstat(file.fileno())
            if not S_ISREG(before.st_mode):
                raise UnreadableFile("it is not a file: give the path of a JSON or YAML file")
            content = file.read(MAX_BYTES + 1)
            after = os.fstat(file.fileno())
    except (OSError, ValueError) as error:
        raise UnreadableFile(read_advice(error)) from error
    if len(content) > MAX_BYTES:
        raise UnreadableFile(f"it is larger than {MAX_BYTES // 1024 // 1024} MiB: split it, or use a database")
    is_fresh = abs(time.time() - after.st_ctime) <= _SETTLED
    return (None if is_fresh or _signature(before) != _signature(after) else _signature(after)), content


def _open_nonblocking(path: str, flags: int) -> int:
    """Opens the file without waiting: for a FIFO, open() would wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _signature(status: os.stat_result) -> Signature:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
