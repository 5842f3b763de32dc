"""The cable: a fleet behind a network link that goes down and comes back, in network namespaces of its own.

    python -m chaos.cable [--engines 2000] [--seconds 180] [--end far|near] [--without-canary] [--interval MS]

The engines answer all the time. The prober runs in a namespace of its own, behind a pair of virtual interfaces; one end
is set down for a while. With a canary behind the same link there must be no event. Then one engine fails for good, and
there must be one. Prints a line of JSON. Exits with 1 if there were other events, with 77 if this machine forbids
namespaces. Needs `unshare`, `nsenter` (util-linux) and `ip` (iproute2).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import uvloop
from tests.servers.redis import end_with_parent
from tests.support.program import PROGRAM, clean_environment, documents

CANNOT = 77
_PORT = 8080
_CANARY = "10.78.0.1"
_INSIDE = "CHAOS_CABLE_INSIDE"
_PATIENCE = 60.0


class Rack:
    """The engines, one for each address, all in this process. `failing` is the address of the one that fails."""

    def __init__(self) -> None:
        self.requests = 0
        self.failing: str | None = None


class _Conversation(asyncio.Protocol):
    """One connection to an engine. A probe fits one segment and is never pipelined."""

    def __init__(self, rack: Rack) -> None:
        self._rack = rack

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._address = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:  # noqa: ARG002  every request gets the same answer
        self._rack.requests += self._address != _CANARY
        status = b"503 Unwell" if self._address == self._rack.failing else b"200 OK"
        self._transport.write(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)


def address_of(number: int) -> str:
    return f"10.77.{number // 250}.{1 + number % 250}"


async def pulled(
    engines: int, seconds: float, end: str, *, interval: int, canary: bool, folder: Path
) -> dict[str, Any]:
    """Returns what happened, as one document."""
    rack = Rack()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Conversation(rack), "0.0.0.0", _PORT, backlog=4096)
    records = folder / "games.json"
    records.write_text(
        json.dumps(
            [
                {"game_id": f"game-{number}", "engine_endpoint": f"http://{address_of(number)}:{_PORT}"}
                for number in range(engines)
            ]
        )
    )
    printed, logged = folder / "printed.jsonl", folder / "logged.jsonl"
    options = [f"--interval={interval}ms", f"--timeout={interval * 0.4:g}ms", "--failures=3", "--log-level=info"]
    options += [f"--canary=http://{_CANARY}:{_PORT}/"] if canary else []
    command = [*PROGRAM, "run", f"--records=file:{records}", f"--log=sqlite:{folder}/log.db", *options]
    with printed.open("w") as out, logged.open("w") as err:
        try:
            process = await _behind_the_link(command, out, err)
        except subprocess.CalledProcessError as refused:
            print(f"this machine has no such links: {refused}", file=sys.stderr)
            sys.exit(CANNOT)
    try:
        await _until(lambda: rack.requests > 3 * engines, "every engine was probed")
        down = time.monotonic()
        _set_link(process.pid, end, "down")
        await asyncio.sleep(seconds)
        before = rack.requests
        _set_link(process.pid, end, "up")
        await _until(lambda: rack.requests > before + 3 * engines, "every engine was probed again")
        lasted = time.monotonic() - down
        events = len(_lines(printed))
        rack.failing = address_of(0)
        await _until(lambda: len(_lines(printed)) > events, "the log has the engine that fails")
    finally:
        process.terminate()
        await process.wait()
        server.close()
    closing = next(line for line in _lines(logged) if line["msg"] == "stopped")
    messages = [line["msg"].partition(":")[0] for line in _lines(logged) if "prober" in line["msg"]]
    return {
        "engines": engines, "pulled_s": seconds, "lasted_s": round(lasted, 1), "end": end, "canary": canary,
        "events": events, "inconclusive": closing["inconclusive"], "failed": closing["failed"], "messages": messages,
        "failed_then": _lines(printed)[events]["game_id"],
    }  # fmt: skip


async def _behind_the_link(command: list[str], out: Any, err: Any) -> asyncio.subprocess.Process:
    """Starts the prober in a namespace of its own, linked to ours. It begins once the link is up."""
    for words in ("link set lo up", "route add local 10.77.0.0/16 dev lo", "route add local 10.78.0.0/24 dev lo"):
        _ip(words)
    waiting = ["unshare", "--net", "sh", "-c", 'read _ && exec "$@"', "sh", *command]
    process = await asyncio.create_subprocess_exec(
        *waiting, stdin=subprocess.PIPE, stdout=out, stderr=err, env=clean_environment({}), preexec_fn=end_with_parent
    )
    await _until(lambda: _network_of(process.pid) != _network_of(os.getpid()), "the prober has left our network")
    _ip(f"link add far type veth peer name near netns {process.pid}")
    _ip("address add 10.76.0.1/24 dev far")
    _ip("link set far up")
    inside = (
        "link set lo up",
        "address add 10.76.0.2/24 dev near",
        "link set near up",
        "route add default via 10.76.0.1",
    )
    for words in inside:
        _ip(words, inside=process.pid)
    assert process.stdin is not None
    process.stdin.write(b"begin\n")
    await process.stdin.drain()
    return process


def _set_link(pid: int, end: str, state: str) -> None:
    if end == "far":
        _ip(f"link set far {state}")
        return
    _ip(f"link set near {state}", inside=pid)
    if state == "up":
        _ip("route add default via 10.76.0.1", inside=pid)


def _ip(words: str, inside: int | None = None) -> None:
    prefix = [] if inside is None else ["nsenter", "--target", str(inside), "--net"]
    subprocess.run([*prefix, "ip", *words.split()], check=True)


def _network_of(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115  the text of the link, not its target


def _lines(file: Path) -> list[Any]:
    return documents([line for line in file.read_text().split("\n")[:-1] if line.startswith("{")])


async def _until(holds: Any, what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            sys.exit(f"not within {_PATIENCE:g}s: {what}")
        await asyncio.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m chaos.cable")
    parser.add_argument("--engines", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--end", choices=("far", "near"), default="far")
    parser.add_argument("--without-canary", action="store_true")
    parser.add_argument("--interval", type=int, default=1000, help="milliseconds between two probes of an engine")
    arguments = parser.parse_args()
    if _INSIDE not in os.environ:
        sys.exit(_within_namespaces())
    with TemporaryDirectory(prefix="healthprobe-cable-") as folder:
        found = uvloop.run(
            pulled(
                arguments.engines,
                arguments.seconds,
                arguments.end,
                interval=arguments.interval,
                canary=not arguments.without_canary,
                folder=Path(folder),
            )
        )
    print(json.dumps(found), flush=True)
    sys.exit(0 if found["events"] == 0 else 1)


def _within_namespaces() -> int:
    """Runs this program again, in namespaces that end with it."""
    if any(shutil.which(tool) is None for tool in ("unshare", "nsenter", "ip")):
        return CANNOT
    if subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode:
        return CANNOT
    command = ["unshare", "-rn", "--kill-child", "--fork", sys.executable, "-m", "chaos.cable", *sys.argv[1:]]
    return subprocess.run(command, check=False, env={**os.environ, _INSIDE: "1"}).returncode


if __name__ == "__main__":
    main()
