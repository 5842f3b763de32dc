"""The program: `healthprobe run` in a process of its own, started again whenever it ended, as an init system does."""

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

from chaos.patience import Impatient, until

_RESTART_PAUSE = 0.1
_LONGEST_STOP = 10.0

_TOLD_TO_END = {0, -signal.SIGKILL, -signal.SIGTERM}

_ENDS_WITH_US = end_with_parent if sys.platform == "linux" else None


class Program:
    """One life after the other, all with the same arguments, until the context ends.

    `command` is what runs it. What each life says is kept in `folder`, so that it never waits for us.
    """

    def __init__(self, folder: Path, arguments: Sequence[str], command: Sequence[str] = PROGRAM) -> None:
        self.lives = 0
        self.unasked_ends: list[str] = []
        """The codes and last words of lives that ended though nobody had killed them."""
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
        """kill -9. Nothing happens to one that is gone already: the next life begins in a moment."""
        self._send(signal.SIGKILL)
        self._is_alive = False

    def stay_away(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the present life by this signal; there is no other until `come_back`."""
        self._wanted.clear()
        self._is_alive = False
        self._last_end = number
        self._send(number)

    def come_back(self) -> None:
        """The next life may begin."""
        self._wanted.set()

    @property
    def pid(self) -> int:
        """The present life's, or that of the last one."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_present(self) -> bool:
        """Whether it is there, or will be in a moment."""
        return self._wanted.is_set()

    def pause(self) -> None:
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    async def is_up(self, within: float) -> None:
        """Wait until the present life probes, or the next where this one was killed."""

        async def probes() -> bool:
            return self._is_alive and self._times_said("health probe worker started") > 0

        try:
            await until(probes, "healthprobe probes", within=within)
        except Impatient as impatient:
            raise Impatient("; ".join([str(impatient), *self.unasked_ends[-1:]])) from None

    async def says(self, message: str, within: float) -> None:
        """Wait until the present life says so once more than it has by now."""
        already = self._times_said(message)

        async def said_again() -> bool:
            return self._times_said(message) > already

        await until(said_again, f"healthprobe says {message!r}", within=within)

    def runs_by(self, command: Sequence[str]) -> None:
        """From now on `command` runs it: the present life is killed, and the next is another kind of life."""
        self._command = command
        self.kill()

    async def _supervise(self) -> None:
        while True:
            await self._wanted.wait()
            self.lives += 1
            with self._printed.open("w") as printed, self._told.open("w") as told:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    "run",
                    *self._arguments,
                    cwd=self._folder,
                    env=clean_environment({}),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=printed,
                    stderr=told,
                    # A Ctrl-C in the terminal is ours to answer.
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
        if code not in _TOLD_TO_END:
            self.unasked_ends.append(f"healthprobe ended with {code}: {self._last_words()}")

    def _last_words(self) -> str:
        return "".join(self._told.read_text().splitlines()[-1:])[:300]

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _times_said(self, message: str) -> int:
        """How often the present life has said so."""
        if not self._told.exists():
            return 0
        told = self._told.read_text().split("\n")[:-1]
        lines = [line for line in told if message in line and line.startswith("{")]
        return [line["msg"] for line in documents(lines)].count(message)

    @property
    def _printed(self) -> Path:
        return self._folder / f"printed-{self.lives}.jsonl"

    @property
    def _told(self) -> Path:
        return self._folder / f"told-{self.lives}.jsonl"
