"""What the operating system's errors mean, for files that are read and files that are written. None is permanent."""

from __future__ import annotations

import errno

_WHEN_READING = {
    errno.ENOENT: "there is no such file: create it, or correct the path",
    errno.EACCES: "it may not be read: change its permissions",
    errno.EPERM: "it may not be read: change its permissions",
    errno.EISDIR: "it is a folder: give the path of a JSON or YAML file",
}
_WHEN_WRITING = {
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


def read_advice(error: OSError | ValueError) -> str:
    """Returns why a file cannot be read, and what to change. A ValueError is about its path."""
    if not isinstance(error, OSError):
        return str(error)
    return _WHEN_READING.get(error.errno or 0) or error.strerror or str(error)


def write_advice(error: OSError) -> str:
    """Returns why a file cannot be written, and what to change."""
    return _WHEN_WRITING.get(error.errno or 0) or error.strerror or str(error)
