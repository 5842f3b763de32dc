"""Processes of the program that are forked, and not started anew: most of what a start costs is imports."""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

Untyped: Any = subprocess.Popen

AT_THE_START = dict(os.environ)

NUMBER = struct.Struct("i")

SERVER = Path(__file__).with_name("fork_server.py")

DECIDED_AT_THE_START = ("PYTHON", "LC_", "LANG", "MALLOC")
"""Prefixes of environment variables that an interpreter reads only as it starts."""


class Forked(Untyped):  # type: ignore[misc]  # what it overrides is not in typeshed
    """A subprocess.Popen of the arguments of `healthprobe`, without the interpreter and the module before them.

    The process is no child of this one; all else is as if it were.
    """

    returncode: int | None

    def _execute_child(self, *arguments: Any) -> None:
        command, folder, environment, new_session = arguments[0], arguments[5], arguments[6], arguments[21]
        pipes = arguments[10:16]
        request = {
            "arguments": [os.fspath(each) for each in command],
            "folder": os.fspath(folder or "."),
            "environment": dict(os.environ if environment is None else environment),
            "new_session": new_session,
        }
        standard = [pipe if pipe != -1 else number for number, pipe in enumerate((pipes[0], pipes[3], pipes[5]))]
        ours, theirs = os.pipe()
        self._status = ours
        socket.send_fds(_fork_server(), [json.dumps(request).encode()], [*standard, theirs])
        os.close(theirs)
        self.pid = self._next_number()
        self._child_created = True
        self._close_pipe_fds(*pipes)

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if not self._waitpid_lock.acquire(blocking=False):
            return None  # another thread waits
        try:
            return self._code(within=0.0)
        finally:
            self._waitpid_lock.release()

    def _wait(self, timeout: float | None) -> int:
        with self._waitpid_lock:
            code = self._code(within=timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def _code(self, within: float | None) -> int | None:
        """Returns the exit code, or None if the process has not ended by then."""
        if self.returncode is not None:
            return self.returncode
        ended = select.poll()
        ended.register(self._status, select.POLLIN)
        if not ended.poll(None if within is None else within * 1_000):
            return None
        self.returncode = os.waitstatus_to_exitcode(self._next_number())
        os.close(self._status)
        return self.returncode

    def _next_number(self) -> int:
        number: int = NUMBER.unpack(os.read(self._status, NUMBER.size))[0]
        return number


def can_be_forked(environment: Mapping[str, str]) -> bool:
    """Returns whether a forked process has all that a new one would have of this environment."""
    names = {name for name in {*environment, *AT_THE_START} if name.startswith(DECIDED_AT_THE_START)}
    return all(environment.get(name) == AT_THE_START.get(name) for name in names)


@cache
def _fork_server() -> socket.socket:
    """Returns the socket of this process's fork server, which ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server = subprocess.Popen(
        [sys.executable, SERVER, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    theirs.close()

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours
