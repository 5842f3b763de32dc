"""Child processes: started in a group of their own, watched through /proc, and ended by pid, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_GRACE = 5.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
"""The unit in which /proc counts CPU."""


class ChildFailed(Exception):
    """A child process ended, or never began its work. The message holds the end of what it said."""


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Seconds of CPU that a whole process has used, all its threads together."""

    user: float
    system: float

    def __sub__(self, earlier: CpuTime) -> CpuTime:
        return CpuTime(self.user - earlier.user, self.system - earlier.system)

    @property
    def total(self) -> float:
        return self.user + self.system


class Child:
    """A running child process; what it writes to standard error, and unless it is piped to standard output, is kept."""

    def __init__(self, process: subprocess.Popen[str], output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self._output.read_text(errors="replace")

    def require_alive(self) -> None:
        """Raises ChildFailed if it has ended."""
        if self.process.poll() is not None:
            said = " ".join(self.output.split())[-200:]
            raise ChildFailed(f"ended with {self.process.returncode}: {said or 'it said nothing'}")

    def wait_until(self, begun: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until it has `begun` its work. Raises ChildFailed if it ends before, or has not after `seconds`."""
        deadline = time.monotonic() + seconds
        while not begun():
            self.require_alive()
            if time.monotonic() > deadline:
                raise ChildFailed(f"has not begun after {seconds:g}s")
            time.sleep(0.05)

    def end(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, and after five seconds make it end."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            self.process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(command: Sequence[str], workspace: Path, *, talking: bool = False) -> Iterator[Child]:
    """Run `command` until the context ends. Where it is `talking`, standard input and output are pipes to it.

    Its own process group keeps a Ctrl-C in the terminal from it: it is ours to end, in our order.
    """
    output = workspace / f"{Path(command[0]).name}-{time.monotonic_ns()}.out"
    pipe = subprocess.PIPE if talking else subprocess.DEVNULL
    with output.open("w") as kept:
        process = subprocess.Popen(
            command,
            stdin=pipe,
            stdout=subprocess.PIPE if talking else kept,
            stderr=kept,
            text=True,
            process_group=0,
        )
    child = Child(process, output)
    try:
        yield child
    finally:
        child.end()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def cpu_time(pid: int) -> CpuTime:
    """What the process has used so far, in hundredths of a second (proc(5), fields 14 and 15 of /proc/PID/stat)."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return CpuTime(int(after_name[11]) / TICKS_PER_SECOND, int(after_name[12]) / TICKS_PER_SECOND)


def resident_memory(pid: int) -> int:
    """Bytes that the process holds in memory now."""
    return _status_bytes(pid, "VmRSS")


def peak_memory(pid: int) -> int:
    """The most bytes that the process ever held in memory."""
    return _status_bytes(pid, "VmHWM")


def _status_bytes(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    raise KeyError(key)
