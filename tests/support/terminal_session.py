"""A pseudo-terminal of 80 columns."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.program import begun
from tests.support.waiting import PATIENCE

COLUMNS = 80

PLAIN_STYLES = {"0", "1", "2", "1;31", "1;32", "1;33"}
"""Bold, dim, and the red, green and yellow of the terminal's own theme."""

_STYLES = re.compile(r"\x1b\[[0-9;]*m")


class TerminalSession:
    """A command whose standard input, output and error are a terminal. `screen` is all that it has written so far."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.screen = ""
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self._running = begun(
            arguments,
            {"TERM": "xterm-256color", **environment},
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, without styles."""
        return _STYLES.sub("", self.screen).replace("\r", "").splitlines()

    def read_until(self, text: str, within: float = PATIENCE) -> None:
        """Reads until `text` is on the screen, in any style."""
        deadline = time.monotonic() + within
        while text not in _STYLES.sub("", self.screen):
            assert time.monotonic() < deadline, f"{text!r} is not on the screen: {self.screen}"
            assert self._read(), f"the program ended before {text!r} was on the screen: {self.screen}"

    def interrupt(self) -> None:
        """Sends what Ctrl-C sends: SIGINT to every process of the terminal."""
        os.killpg(self._running.pid, signal.SIGINT)

    def end(self, within: float = PATIENCE) -> int:
        """Reads until the command ends. Returns its exit code."""
        deadline = time.monotonic() + within
        while self._read():
            assert time.monotonic() < deadline, f"the program does not end: {self.screen}"
        os.close(self._ours)
        return int(self._running.wait(timeout=PATIENCE))

    def kill(self) -> None:
        if self._running.poll() is None:
            self._running.kill()
            self._running.wait()

    def _read(self) -> bool:
        """Reads what has been written, waiting 0.1 s at most. Returns False once the program has ended."""
        ready, _, _ = select.select([self._ours], [], [], 0.1)
        if not ready:
            return True
        try:
            written = os.read(self._ours, 65536)
        except OSError:
            return False
        self.screen += written.decode()
        return bool(written)


OpenTerminal = Callable[..., TerminalSession]
"""Starts a command in a terminal of its own."""


def assert_readable(session: TerminalSession) -> None:
    assert [line for line in session.lines if len(line) > COLUMNS] == []
    assert set(re.findall(r"\x1b\[([0-9;]*)m", session.screen)) <= PLAIN_STYLES
