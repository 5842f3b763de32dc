"""A fleet in a process of its own, so that engines never share an event loop with the prober that asks them.

with FleetProcess({"game-7": Script(((0.0, 200), (3.0, "crash"), (9.0, 200)))}) as fleet:
    fleet.endpoints["game-7"]
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, Self

from healthprobe.testing.engines import Script, ScriptedFleet

_GRACE = 5.0


class FleetProcess:
    """Engines by game id in a child process, gone when the context ends, and also when the parent dies in any way.

    `endpoints` are the engines' addresses by game id. `began` is when the scripts began, as `time.monotonic()` tells it
    in every process of this machine: `scripts[game_id].behaviour_at(time.monotonic() - fleet.began)` is the oracle.
    Raises RuntimeError where the child cannot begin; its standard error says why.
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
        # Its own process group: a Ctrl-C in the terminal is the parent's business.
        self._child = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
        )
        try:
            self._begin(self._child)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is None:
            return
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
        try:
            self._child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _begin(self, child: subprocess.Popen[str]) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        scripts = {game_id: {"steps": each.steps, "period": each.period} for game_id, each in self.scripts.items()}
        child.stdin.write(json.dumps(scripts) + "\n")
        child.stdin.flush()
        reply = child.stdout.readline()
        if not reply:
            raise RuntimeError("the engines' process ended before it began")
        begun = json.loads(reply)
        self.began = begun["began"]
        self.endpoints = begun["endpoints"]


async def _serve(scripts: Mapping[str, Script]) -> None:
    async with ScriptedFleet(scripts) as fleet:
        sys.stdout.write(json.dumps({"began": time.monotonic(), "endpoints": fleet.endpoints}) + "\n")
        sys.stdout.flush()
        # The pipe from the parent ends with the parent, whatever ends it.
        await asyncio.to_thread(sys.stdin.read)


def _script_from(document: dict[str, Any]) -> Script:
    return Script(tuple((time, behaviour) for time, behaviour in document["steps"]), document["period"])


def _main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    line = sys.stdin.readline()
    if line:
        asyncio.run(_serve({game_id: _script_from(document) for game_id, document in json.loads(line).items()}))


if __name__ == "__main__":
    _main()
