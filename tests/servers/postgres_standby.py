"""A real standby of a PostgreSQL server: it follows, can only be read, and can be promoted."""

from __future__ import annotations

import os
import subprocess

from tests.servers.postgres import _OWNER, _USER, PostgresServer


class PostgresStandby(PostgresServer):
    """A hot standby of `primary`, by streaming replication.

    with PostgresServer() as primary, PostgresStandby(primary) as standby:
        primary.kill()
        standby.promote()               # it takes writes from now on
    """

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__()
        self._primary = primary

    def promote(self) -> None:
        """Makes this server the primary; returns when it takes writes."""
        with self.connect("postgres") as connection:
            connection.execute("SELECT pg_promote()")

    def _create(self) -> None:
        self._data.mkdir(mode=0o700)
        if _OWNER is not None:
            self._folder.chmod(0o755)
            os.chown(self._data, _OWNER, _OWNER)
        command = [str(self._binaries / "pg_basebackup"), "-D", str(self._data), "-R", "--no-sync", "-c", "fast"]
        command += ["-h", "127.0.0.1", "-p", str(self._primary.port), "-U", _USER]
        made = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=self._data, user=_OWNER, group=_OWNER
        )
        if made.returncode != 0:
            raise RuntimeError(f"pg_basebackup failed: {made.stderr}")
