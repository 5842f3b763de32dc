"""A network of its own with four ports to connect from: `python -P few_ports.py FOLDER COMMAND…` in `unshare -rn`.

The command takes the place of this process. Beside it, for as long as it runs, an engine serves at `ENDPOINT` for all
games: 200, and 503 to whom asks below /dead. When the file `more-ports` is in FOLDER there are ports for everybody.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

ENDPOINT = "http://127.0.0.1:50000"
FEW, MANY = "40000 40003", "20000 40000"
SIGN = "more-ports"
CANNOT = 77
"""How it says that this machine does not let it have such a network."""

SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def command_in(folder: Path) -> tuple[str, ...]:
    """What runs a command in such a network."""
    return ("unshare", "-rn", sys.executable, "-P", str(Path(__file__)), str(folder))


def is_possible(folder: Path) -> bool:
    """Whether this machine allows it."""
    return subprocess.run([*command_in(folder), "true"], check=False, capture_output=True).returncode == 0


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError, OSError):
        while request := await reader.readuntil(b"\r\n\r\n"):
            status = b"503 Ill" if request.startswith(b"GET /dead/") else b"200 OK"
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)
    writer.close()


async def serve(folder: Path, ready: int, parent: int) -> None:
    async with await asyncio.start_server(answer, "127.0.0.1", 50_000):
        os.write(ready, b"!")
        while os.getppid() == parent:
            widen_if_told(folder)
            await asyncio.sleep(0.05)


def widen_if_told(folder: Path) -> None:
    if (folder / SIGN).exists():
        RANGE.write_text(MANY)


def narrow() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
    RANGE.write_text(FEW)


def main() -> None:
    folder, command = Path(sys.argv[1]), sys.argv[2:]
    try:
        narrow()
    except OSError:
        sys.exit(CANNOT)
    ready, signal_ready = os.pipe()
    parent = os.getpid()
    if os.fork() == 0:
        asyncio.run(serve(folder, signal_ready, parent))
        os._exit(0)
    select.select([ready], [], [])
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
