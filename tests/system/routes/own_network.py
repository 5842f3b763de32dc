"""A network of its own: `python -P own_network.py COMMAND…` in `unshare -rn`, with 250 engines that answer 200.

The command takes the place of this process. Beside it, for as long as it runs, one server answers at port 8080 of each
address of 10.77.0.0/24. `ip` and other programs join the network by the command's process id.
"""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

CANNOT = 77
"""How it says that this machine does not let it have such a network."""

COMMAND = ("unshare", "-rn", sys.executable, "-P", str(Path(__file__)))
"""What runs a command in such a network."""


def address_of(number: int) -> str:
    return f"10.77.0.{1 + number}"


def is_possible() -> bool:
    """Whether this machine allows it."""
    try:
        return subprocess.run([*COMMAND, "true"], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def joined(process: int, *command: str) -> tuple[str, ...]:
    """Returns the command as one that runs in the network of this process."""
    return ("nsenter", f"--target={process}", "--user", "--net", "--preserve-credentials", *command)


def route(process: int, words: str) -> None:
    """Changes a route in the network of this process, as in `add prohibit 10.77.0.3/32`."""
    verb, *others = words.split()
    subprocess.run(joined(process, "ip", "route", verb, *others, "table", "local"), check=True)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError, OSError):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    writer.close()


async def serve(ready: int, parent: int) -> None:
    async with await asyncio.start_server(answer, "0.0.0.0", 8080):
        os.write(ready, b"!")
        while os.getppid() == parent:  # noqa: ASYNC110  nobody tells that it ended
            await asyncio.sleep(0.05)


def main() -> None:
    for words in ("link set lo up", "route add local 10.77.0.0/24 dev lo"):
        if subprocess.run(["ip", *words.split()], check=False).returncode:
            sys.exit(CANNOT)
    ready, signal_ready = os.pipe()
    parent = os.getpid()
    if os.fork() == 0:
        asyncio.run(serve(signal_ready, parent))
        os._exit(0)
    select.select([ready], [], [])
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
