"""The URLs of PostgreSQL databases in every form that people write: libpq's, SQLAlchemy's, with odd passwords."""

from urllib.parse import quote

import pytest
from tests.servers.postgres import PostgresServer

from healthprobe.adapters.sql import SqlDatabase, backend_of
from healthprobe.adapters.sql.postgres_url import parse_postgres_url
from healthprobe.ports import ConfigurationError

SECRET = "s3cr/t@ :%2x"


@pytest.mark.parametrize(
    ("url", "keywords"),
    [
        ("postgresql://h/db", {"host": "h", "dbname": "db"}),
        ("postgresql://h", {"host": "h"}),
        ("postgresql:///db", {"dbname": "db"}),
        ("postgresql://:5433/db", {"port": "5433", "dbname": "db"}),
        (
            "postgresql+psycopg://u:p@h:5433/db",
            {"user": "u", "password": "p", "host": "h", "port": "5433", "dbname": "db"},
        ),
        ("postgres://u:@h/", {"user": "u", "password": "", "host": "h"}),
        ("postgresql://h1,h2/db", {"host": "h1,h2", "dbname": "db"}),
        ("postgresql://h1:1,h2/db", {"host": "h1,h2", "port": "1,", "dbname": "db"}),
        ("postgresql://h1,[::1]:2/db", {"host": "h1,::1", "port": ",2", "dbname": "db"}),
        ("postgresql://[fe80::1%25eth0]/db", {"host": "fe80::1%eth0", "dbname": "db"}),
        ("postgresql://%2Frun%2Fpg:1/db", {"host": "/run/pg", "port": "1", "dbname": "db"}),
        ("postgresql:///db?host=/run/pg", {"host": "/run/pg", "dbname": "db"}),
        ("postgresql://u@/db?host=h1:1&host=h2:2", {"user": "u", "host": "h1,h2", "port": "1,2", "dbname": "db"}),
        ("postgresql://h0/db?host=h1,h2&port=3", {"host": "h1,h2", "port": "3", "dbname": "db"}),
        ("postgresql://h/db?sslmode=require&sslmode=disable", {"host": "h", "dbname": "db", "sslmode": "disable"}),
        ("postgresql://h/db?ssl=true", {"host": "h", "dbname": "db", "sslmode": "require"}),
        ("postgresql://u:p%40%2F@h/a%20b", {"user": "u", "password": "p@/", "host": "h", "dbname": "a b"}),
        ("postgresql://u:p@q:r/s%t@h/db", {"user": "u", "password": "p@q:r/s%t", "host": "h", "dbname": "db"}),
        ("postgresql://h/d@b", {"host": "h", "dbname": "d@b"}),
    ],
)
def test_a_url_means_what_libpq_and_sqlalchemy_make_of_it(url: str, keywords: dict[str, str]) -> None:
    assert parse_postgres_url(url).keywords == keywords


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql:db", "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("postgresql://u:s3cr@h:port/db", "its port is not a number"),
        ("postgresql://u:s3cr@h:70000,h2/db", "its port is not a number"),
        ("postgresql://u:s3cr@h1,,h2/db", "one of its hosts is empty"),
        ("postgresql://u:s3cr@::1/db", "an IPv6 address needs brackets"),
        ("postgresql://u:s3cr@[::1/db", "not an IPv6 address"),
        ("postgresql://u:s3cr@[nonsense]/db", "not an IPv6 address"),
        ("postgresql://u:s3cr?t@h/db", "write a ? in the password as %3F"),
        ("postgresql://u:s3cr%00@h/db", "a NUL character"),
    ],
)
def test_what_is_no_url_of_a_database_is_refused_without_its_password(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        backend_of(url)
    assert message in str(refused.value)
    assert "s3cr" not in str(refused.value)


def test_one_database_has_one_identity_however_its_url_is_written() -> None:
    urls = ("postgresql://u:p%40@h:1/db", "postgres://u:p@@h:1/db", "postgresql+psycopg://u:p@@/db?host=h:1")
    assert len({backend_of(url).identity for url in urls}) == 1
    assert {backend_of(url).name for url in urls} == {"postgresql://h:1/db"}


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
async def test_each_scheme_connects_over_tcp_and_through_a_socket(
    scheme: str, postgres_server: PostgresServer, postgres_url: str
) -> None:
    name = postgres_url.rpartition("/")[2]
    folder = str(postgres_server.socket_folder)
    for place in (
        f"127.0.0.1:{postgres_server.port}/{name}?sslmode=prefer",
        f"{quote(folder, safe='')}:{postgres_server.port}/{name}",
        f"/{name}?host={folder}&port={postgres_server.port}",
    ):
        database = await SqlDatabase.open(f"{scheme}://postgres@{place}")
        await database.aclose()


async def test_a_password_may_be_written_as_it_is(postgres_server: PostgresServer, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    keywords = parse_postgres_url(f"postgresql://{name}:{SECRET}@127.0.0.1:{postgres_server.port}/{name}").keywords
    assert keywords["password"] == SECRET
    with pytest.raises(ConfigurationError, match="server does not support SSL, but SSL was required") as refused:
        await SqlDatabase.open(f"{postgres_url.replace('postgres@', f'postgres:{SECRET}@')}?sslmode=require")
    assert "s3cr" not in str(refused.value)
