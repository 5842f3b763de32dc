"""The instance: one `healthprobe run --cluster` in a process of its own, and what it delivers."""

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

Hear = Callable[[HealthEvent], None]


class EndedUnasked(Exception):
    """An instance is gone though nobody has ended it. The message is its last line."""


class DemoInstance:
    """It is there. Its transitions go to whoever hears them, its log lines to a file."""

    def __init__(self, process: Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._is_told = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_there(self) -> bool:
        """Whether it is, and nobody has ended it. Raises EndedUnasked where it is gone all the same."""
        if self._is_told:
            return False
        if self._process.returncode is not None:
            last = self._log.read_text().splitlines()[-1:]
            raise EndedUnasked(f"an instance has ended with {self._process.returncode}: {''.join(last)[:300]}")
        return True

    def kill(self) -> None:
        """Send kill -9."""
        self._is_told = True
        with suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self) -> None:
        """SIGTERM, until it is gone."""
        self._is_told = True
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _LONGEST_STOP)
        self.kill()
        await self._process.wait()


@asynccontextmanager
async def begun(arguments: Sequence[str], folder: Path, number: int, hear: Hear) -> AsyncIterator[DemoInstance]:
    """Start one; it is stopped as the context ends, and killed with us where nobody can stop it."""
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
    listening = asyncio.create_task(_listen(process.stdout, hear))
    instance = DemoInstance(process, path)
    try:
        yield instance
    finally:
        await instance.stop()
        await listening


async def _listen(printed: asyncio.StreamReader, hear: Hear) -> None:
    """A line that a kill tore off is none."""
    async for line in printed:
        if line.endswith(b"\n"):
            hear(HealthEvent.from_document(msgspec.json.decode(line)))
