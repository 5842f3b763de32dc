"""Fixtures for databases: a path, a folder that ordinary users may enter, a small disk."""

import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.servers.postgres import PostgresServer

from healthprobe.adapters.sql import SqlDatabase


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Returns the path of a new database."""
    return tmp_path / "healthprobe.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqlDatabase]:
    database = await SqlDatabase.open(f"sqlite:{path}")
    yield database
    await database.aclose()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """Yields a folder that every user may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yields a file system of 1 MiB, if mounting is allowed."""
    mount_point = tmp_path / "disk"
    mount_point.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount_point)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a disk of our own cannot be mounted here; the limit on file sizes stands in for it")
    yield mount_point
    subprocess.run(["umount", "--lazy", mount_point], check=True)


@pytest.fixture
def in_encoding(postgres_server: PostgresServer) -> Iterator[Callable[[str], str]]:
    """Returns a function that creates a database in an encoding and returns its URL."""
    created: list[str] = []

    def create(encoding: str) -> str:
        created.append(f"in_{encoding.lower()}")
        with postgres_server.connect("postgres") as administrator:
            administrator.execute(f"CREATE DATABASE {created[-1]} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
        return postgres_server.address(postgres_server.port, created[-1])

    yield create
    with postgres_server.connect("postgres") as administrator:
        for name in created:
            administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
