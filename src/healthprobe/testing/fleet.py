"""A fleet in a process of its own, so that engines do not share an event loop with the prober.

with FleetProcess({"game-7": Script(((0.0, 200), (3.0, "crash"), (9.0, 200))), "game-8": Script()}) as fleet:
    fleet.endpoints["game-7"]
    fleet.become({"game-8": 503})
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

import uvloop

from healthprobe.testing.engines import Behaviour, Script, ScriptedFleet

_GRACE = 30.0


class FleetProcess:
    """Engines by game id in a child process, which ends with the context and also when the parent dies in any way.

    `endpoints` has the engines' addresses by game id. `began` is the start of the scripts on `time.monotonic()`, which
    is the same in every process of a machine: `scripts[game_id].behaviour_at(time.monotonic() - fleet.began)` is the
    oracle. Raises RuntimeError if the child cannot start or has ended; its standard error has the cause.
    """

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self.scripts = dict(scripts)
        self.endpoints: dict[str, str] = {}
        self.began = 0.0
        self._child: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "healthprobe.testing.fleet"]
        # Its own process group: a Ctrl-C in the terminal reaches the parent alone.
        self._child = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
        )
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is None:
            return
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def become(self, behaviours: Mapping[str, Behaviour]) -> None:
        """Changes the behaviour of these engines and returns when it is in force. Their scripts go on as well.

        Raises KeyError, and changes nothing, for a game that is not in this fleet.
        """
        for game_id in behaviours:
            if game_id not in self.scripts:
                raise KeyError(game_id)
        self._request(behaviours)

    def _begin(self) -> None:
        begun = self._request(
            {game_id: {"steps": each.steps, "period": each.period} for game_id, each in self.scripts.items()}
        )
        self.began = begun["began"]
        self.endpoints = begun["endpoints"]

    def _request(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Sends a document to the child and returns its reply."""
        assert self._child is not None
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with suppress(BrokenPipeError):
            self._child.stdin.write(json.dumps(document) + "\n")
            self._child.stdin.flush()
        reply = self._child.stdout.readline()
        if not reply:
            raise RuntimeError("the engines' process has ended")
        answer: dict[str, Any] = json.loads(reply)
        return answer


async def _serve(scripts: Mapping[str, Script]) -> None:
    async with ScriptedFleet(scripts) as fleet:
        _reply({"began": time.monotonic(), "endpoints": fleet.endpoints})
        # The pipe closes with the parent, however that ends.
        while line := await asyncio.to_thread(sys.stdin.readline):
            for game_id, behaviour in json.loads(line).items():
                await fleet.engines[game_id].become(behaviour)
            _reply({})


def _reply(document: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _script_from(document: dict[str, Any]) -> Script:
    return Script(tuple((time, behaviour) for time, behaviour in document["steps"]), document["period"])


def _main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    line = sys.stdin.readline()
    if line:
        uvloop.run(_serve({game_id: _script_from(document) for game_id, document in json.loads(line).items()}))


if __name__ == "__main__":
    _main()
