"""A terminal of 80 columns, as far as a program can tell."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.program import PROGRAM, clean_environment
from tests.support.waiting import PATIENCE

COLUMNS = 80

PLAIN_STYLES = {"0", "1", "2", "1;31", "1;32", "1;33"}
"""Bold, dim, and the terminal's own red, green and yellow: no colour of ours, no background."""

_STYLES = re.compile(r"\x1b\[[0-9;]*m")


class TerminalSession:
    """One command with a terminal for its standard input, output and error. `screen` is what it has written so far."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.screen = ""
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self._running = subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=folder,
            env=clean_environment({"TERM": "xterm-256color", **environment}),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, without their styles."""
        return _STYLES.sub("", self.screen).replace("\r", "").splitlines()

    def read_until(self, text: str, within: float = PATIENCE) -> None:
        """Read until `text` is on the screen."""
        deadline = time.monotonic() + within
        while text not in self.screen:
            assert time.monotonic() < deadline, f"{text!r} is not on the screen: {self.screen}"
            assert self._read(), f"the program ended before {text!r} was on the screen: {self.screen}"

    def interrupt(self) -> None:
        """Ctrl-C, as a terminal gives it: to everything that runs in it."""
        os.killpg(self._running.pid, signal.SIGINT)

    def end(self, within: float = PATIENCE) -> int:
        """Read to the end of the command; its exit code."""
        deadline = time.monotonic() + within
        while self._read():
            assert time.monotonic() < deadline, f"the program does not end: {self.screen}"
        os.close(self._ours)
        return self._running.wait(timeout=PATIENCE)

    def kill(self) -> None:
        if self._running.poll() is None:
            self._running.kill()
            self._running.wait()

    def _read(self) -> bool:
        """Read what is there, waiting a moment for it; False once the terminal has no program any more."""
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
"""Opens one with a command and its environment."""


def assert_readable(session: TerminalSession) -> None:
    assert [line for line in session.lines if len(line) > COLUMNS] == []
    assert set(re.findall(r"\x1b\[([0-9;]*)m", session.screen)) <= PLAIN_STYLES
