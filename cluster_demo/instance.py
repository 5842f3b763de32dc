"""An instance: one `healthprobe run --cluster` as a child process, and the events that it delivers."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from tests.servers.redis import end_with_parent
from tests.support.program import clean_environment

from healthprobe.domain.event import HealthEvent

_PROGRAM = (sys.executable, "-m", "healthprobe", "run")
_LONGEST_STOP = 5.0

OnEvent = Callable[[HealthEvent], None]


class EndedUnexpectedly(Exception):
    """An instance has ended by itself. The message is its last log line."""


class DemoInstance:
    """A running instance. Its log lines go to a file."""

    def __init__(self, process: Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._is_stopped = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_there(self) -> bool:
        """Whether it runs. Raises EndedUnexpectedly if it has ended and was not stopped."""
        if self._is_stopped:
            return False
        if self._process.returncode is not None:
            last = self._log.read_text().splitlines()[-1:]
            raise EndedUnexpectedly(f"an instance has ended with {self._process.returncode}: {''.join(last)[:300]}")
        return True

    def kill(self) -> None:
        """Sends SIGKILL."""
        self._is_stopped = True
        with suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self) -> None:
        """Sends SIGTERM and waits until it has ended."""
        self._is_stopped = True
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _LONGEST_STOP)
        self.kill()
        await self._process.wait()


@asynccontextmanager
async def begun(arguments: Sequence[str], folder: Path, number: int, on_event: OnEvent) -> AsyncIterator[DemoInstance]:
    """Starts an instance, which is stopped as the block ends, and killed if this process dies."""
    path = folder / f"instance-{number}.log"
    with path.open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *_PROGRAM,
            *arguments,
            cwd=folder,
            env=clean_environment({}),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=log,
            process_group=0,
            preexec_fn=end_with_parent if sys.platform == "linux" else None,
        )
    assert process.stdout is not None
    listening = asyncio.create_task(_listen(process.stdout, on_event))
    instance = DemoInstance(process, path)
    try:
        yield instance
    finally:
        await instance.stop()
        await listening


async def _listen(printed: asyncio.StreamReader, on_event: OnEvent) -> None:
    """Reads events. Ignores a line that was cut off by a kill."""
    async for line in printed:
        if line.endswith(b"\n"):
            on_event(HealthEvent.from_document(msgspec.json.decode(line)))
