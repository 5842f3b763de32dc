"""PgBouncer in front of a PostgreSQL server, in transaction mode, where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import psycopg
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

_PATIENCE = 30.0
_OWNER = 65534 if os.geteuid() == 0 else None


class PgBouncer:
    """A pooler whose clients share two connections to `server`, each of them for one transaction at a time.

    `more` are lines of its configuration.
    """

    def __init__(self, server: PostgresServer, *more: str) -> None:
        self.port = free_port()
        self._server = server
        self._more = more
        self._folder = Path(tempfile.mkdtemp(prefix="healthprobe-pgbouncer-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        settings = self._folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={self._server.port} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nauth_type = any\n"
            "pool_mode = transaction\ndefault_pool_size = 2\nunix_socket_dir =\n" + "\n".join(self._more) + "\n"
        )
        self._folder.chmod(0o755)
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen([str(PROGRAM), str(settings)], stderr=log, user=_OWNER, group=_OWNER)
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                words = (self._folder / "log").read_text()
                self.__exit__()
                raise RuntimeError(f"PgBouncer does not start: {words}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            psycopg.connect(f"postgresql://postgres@127.0.0.1:{self.port}/postgres").close()
        except psycopg.OperationalError:
            return False
        return True
