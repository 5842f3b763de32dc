"""The program: `healthprobe run` in a process of its own, restarted whenever it ends, as an init system does."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.servers.redis import end_with_parent
from tests.support.program import PROGRAM, clean_environment, documents

from chaos.waiting import WaitedTooLong, until

_RESTART_PAUSE = 0.1
_LONGEST_STOP = 10.0

_EXPECTED_CODES = {0, -signal.SIGKILL, -signal.SIGTERM}

_ENDS_WITH_US = end_with_parent if sys.platform == "linux" else None


class Program:
    """Runs one process after the other, all with the same arguments, until the context ends.

    `command` is what runs them. Their output goes to files in `folder`, so that they never wait for a reader.
    """

    def __init__(self, folder: Path, arguments: Sequence[str], command: Sequence[str] = PROGRAM) -> None:
        self.lives = 0
        self.unexpected_ends: list[str] = []
        """The exit codes and last log lines of processes that ended without being killed."""
        self._folder = folder
        self._command = command
        self._arguments = arguments
        self._process: Process | None = None
        self._is_alive = False
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._last_end = signal.SIGKILL
        self._supervision: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._supervision = asyncio.create_task(self._supervise())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._supervision is not None
        self._supervision.cancel()
        await asyncio.gather(self._supervision, return_exceptions=True)
        self._send(signal.SIGCONT)
        self._send(signal.SIGTERM)
        if self._process is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_STOP):
                    await self._process.wait()
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """Sends SIGKILL. The next process starts in a moment; so it does where this one has ended already."""
        self._send(signal.SIGKILL)
        self._is_alive = False

    def stay_away(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends the process with this signal; no other starts until `come_back`."""
        self._wanted.clear()
        self._is_alive = False
        self._last_end = number
        self._send(number)

    def come_back(self) -> None:
        """Lets the next process start."""
        self._wanted.set()

    @property
    def pid(self) -> int:
        """The process id of the present or the last process."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_present(self) -> bool:
        """Whether a process runs, or will in a moment."""
        return self._wanted.is_set()

    def pause(self) -> None:
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    async def is_up(self, within: float) -> None:
        """Waits until the present process probes, or the next one if this one was killed."""

        async def probes() -> bool:
            return self._is_alive and self._times_logged("health probe worker started") > 0

        try:
            await until(probes, "healthprobe probes", within=within)
        except WaitedTooLong as waited:
            raise WaitedTooLong("; ".join([str(waited), *self.unexpected_ends[-1:]])) from None

    async def logs(self, message: str, within: float) -> None:
        """Waits until the process logs this message once more."""
        already = self._times_logged(message)

        async def logged_again() -> bool:
            return self._times_logged(message) > already

        await until(logged_again, f"healthprobe logs {message!r}", within=within)

    def run_with(self, command: Sequence[str]) -> None:
        """Kills the process; `command` runs the following ones."""
        self._command = command
        self.kill()

    async def _supervise(self) -> None:
        while True:
            await self._wanted.wait()
            self.lives += 1
            with self._printed.open("w") as printed, self._logged.open("w") as logged:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    "run",
                    *self._arguments,
                    cwd=self._folder,
                    env=clean_environment({}),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=printed,
                    stderr=logged,
                    # A Ctrl-C in the terminal ends the harness, which then ends this.
                    process_group=0,
                    preexec_fn=_ENDS_WITH_US,
                )
            if self._wanted.is_set():
                self._is_alive = True
            else:
                self._send(self._last_end)
            self._note_the_end(await self._process.wait())
            await asyncio.sleep(_RESTART_PAUSE)

    def _note_the_end(self, code: int) -> None:
        if code not in _EXPECTED_CODES:
            self.unexpected_ends.append(f"healthprobe ended with {code}: {self._last_words()}")

    def _last_words(self) -> str:
        return "".join(self._logged.read_text().splitlines()[-1:])[:300]

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _times_logged(self, message: str) -> int:
        """Returns how often the present process has logged this message."""
        if not self._logged.exists():
            return 0
        logged = self._logged.read_text().split("\n")[:-1]
        lines = [line for line in logged if message in line and line.startswith("{")]
        return [line["msg"] for line in documents(lines)].count(message)

    @property
    def _printed(self) -> Path:
        return self._folder / f"printed-{self.lives}.jsonl"

    @property
    def _logged(self) -> Path:
        return self._folder / f"logged-{self.lives}.jsonl"
