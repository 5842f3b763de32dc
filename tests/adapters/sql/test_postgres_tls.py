"""`sslmode` of a PostgreSQL URL, over real TLS: that of PgBouncer, for the server of the wheel has none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.servers.pgbouncer import PROGRAM, PgBouncer
from tests.servers.postgres import PostgresServer

from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.ports import ConfigurationError

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")


@pytest.fixture
def port(postgres_server: PostgresServer, public_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a pooler that wants TLS; `trusted.pem` and `other.pem` are authorities, the first that of its own."""
    monkeypatch.chdir(public_folder)
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(public_folder / "trusted.pem"))
    trustme.CA().cert_pem.write_to_path(str(public_folder / "other.pem"))
    certificate.private_key_and_cert_chain_pem.write_to_path(str(public_folder / "server.pem"))
    (public_folder / "server.pem").chmod(0o644)
    files = (f"client_tls_{name}_file = {public_folder}/server.pem" for name in ("key", "cert"))
    with PgBouncer(postgres_server, "client_tls_sslmode = require", *files) as pooler:
        yield pooler.port


@pytest.mark.parametrize(
    ("host", "query"),
    [
        ("127.0.0.1", ""),
        ("127.0.0.1", "?sslmode=require"),
        ("127.0.0.1", "?ssl=true"),
        ("127.0.0.1", "?sslmode=verify-ca&sslrootcert=trusted.pem"),
        ("localhost", "?sslmode=verify-full&sslrootcert=trusted.pem"),
    ],
)
async def test_what_the_mode_asks_for_is_enough(port: int, postgres_url: str, host: str, query: str) -> None:
    database = await SqlDatabase.open(f"postgresql://postgres@{host}:{port}/{postgres_url.rpartition('/')[2]}{query}")
    assert await SqlLog(database).end() == 0
    await database.aclose()


@pytest.mark.parametrize(
    ("query", "advice"),
    [
        ("sslmode=disable", "it refuses the connection: SSL required"),
        ("sslmode=verify-ca&sslrootcert=other.pem", "certificate verify failed"),
        ("sslmode=verify-full&sslrootcert=trusted.pem", 'certificate for "localhost" does not match .*"127.0.0.1"'),
        ("sslmode=verify-full&sslrootcert=nowhere.pem", 'file "nowhere.pem" does not exist'),
        ("sslmode=nonsense", 'invalid sslmode value: "nonsense"'),
    ],
)
async def test_what_is_less_is_refused_in_one_line_that_says_why(
    port: int, postgres_url: str, query: str, advice: str
) -> None:
    url = f"postgresql://postgres:s3cret@127.0.0.1:{port}/{postgres_url.rpartition('/')[2]}?{query}"
    with pytest.raises(ConfigurationError, match=rf"\A[^\n]*{advice}") as refused:
        await SqlDatabase.open(url)
    assert "s3cret" not in str(refused.value)


async def test_a_server_without_tls_is_refused_where_it_is_wanted(postgres_url: str) -> None:
    with pytest.raises(ConfigurationError, match="server does not support SSL, but SSL was required"):
        await SqlDatabase.open(f"{postgres_url}?sslmode=require")
