"""Parses the URL of a PostgreSQL database, with one server or several, into the keywords of libpq."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import parse_qs, quote, unquote

from healthprobe.domain.endpoint import masked
from healthprobe.ports import ConfigurationError

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
"""The first is libpq's, the last SQLAlchemy's for the driver that we use."""

_ONE = "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_SEVERAL = "write postgresql://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE"
_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """The keywords of libpq that a URL stands for, and the name of its database without credentials."""

    keywords: Mapping[str, str]
    name: str

    @property
    def has_several_hosts(self) -> bool:
        return "," in self.keywords.get("host", "")


def parse_postgres_url(url: str) -> PostgresUrl:
    """Returns what `url` means to libpq, which tries the hosts in their order. Raises ConfigurationError.

    A password may hold `@ : / %` as they are, except for a `?` and for a `%` before two hexadecimal digits.

    >>> parse_postgres_url("postgres://us:p@ss/w@db1:5433,[::1]/games?sslmode=require").keywords["host"]
    'db1,::1'
    >>> parse_postgres_url("postgresql://us:p@ss/w@db1:5433,[::1]/games").name
    'postgresql://db1:5433,[::1]/games'
    """
    try:
        return _parse(url)
    except ValueError as error:
        shown = masked(url).partition("?")[0]
        raise ConfigurationError(f"{shown} is not a database: {error}") from None


def _parse(url: str) -> PostgresUrl:
    _scheme, slashes, rest = url.partition("://")
    if not slashes:
        raise ValueError(_ONE)
    location, _, query = rest.partition("?")
    keywords, hosts = _keywords_of(query)
    credentials, place = _split_credentials(location)
    if credentials is not None:
        user, colon, password = credentials.partition(":")
        keywords.setdefault("user", unquote(user))
        if colon:
            keywords.setdefault("password", unquote(password))
    authority, _, database = place.partition("/")
    if database:
        keywords.setdefault("dbname", unquote(database))
    places = [_host_and_port(each) for each in hosts or (authority.split(",") if authority else [])]
    if len(places) > 1 and not all(host for host, _ in places):
        raise ValueError(f"one of its hosts is empty: {_SEVERAL}")
    if any("\0" in value for value in (*keywords.values(), *(host for host, _ in places))):
        raise ValueError("a NUL character is in it, as %00: leave it out")
    if any(host for host, _ in places):
        keywords["host"] = ",".join(host for host, _ in places)
    if any(port for _, port in places):
        keywords["port"] = ",".join(port for _, port in places)
    return PostgresUrl(keywords, _name_of(keywords))


def _keywords_of(query: str) -> tuple[dict[str, str], list[str]]:
    """Returns the parameters, and the hosts among them, which SQLAlchemy writes `host=HOST:PORT`, one or several."""
    try:
        values = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError("a parameter after the ? is not NAME=VALUE; write a ? in the password as %3F") from None
    hosts = [host for value in values.pop("host", []) for host in value.split(",")]
    keywords = {name: given[-1] for name, given in values.items()}
    if keywords.get("ssl") == "true":  # as the drivers of other languages have it
        del keywords["ssl"]
        keywords.setdefault("sslmode", "require")
    return keywords, hosts


def _split_credentials(location: str) -> tuple[str | None, str]:
    """Returns user and password, or None, and the rest; the last @ is between them, unless it is in the path."""
    credentials, at, rest = location.rpartition("@")
    return (credentials, rest) if at and "/" not in credentials.partition(":")[0] else (None, location)


def _host_and_port(text: str) -> tuple[str, str]:
    """Returns a name, an address or the folder of a socket, and the port, or "" where there is none."""
    if text.startswith("/"):
        return text, ""
    if text.startswith("["):
        address, bracket, after = text[1:].partition("]")
        if not bracket or (after and not after.startswith(":")) or not _is_ipv6(address):
            raise ValueError("the text in brackets is not an IPv6 address")
        return unquote(address), _port(after[1:]) if after else ""
    host, colon, port = text.partition(":")
    if ":" in port:
        raise ValueError(f"an IPv6 address needs brackets: {_ONE}")
    return unquote(host), _port(port) if colon else ""


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(unquote(text))
    except ValueError:
        return False
    return True


def _port(text: str) -> str:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _HIGHEST_PORT):
        raise ValueError(f"its port is not a number from 1 to {_HIGHEST_PORT}: {_ONE}")
    return text


def _name_of(keywords: Mapping[str, str]) -> str:
    hosts = keywords.get("host", "").split(",")
    ports = keywords.get("port", "").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    places = (
        (f"[{host}]" if ":" in host else quote(host, safe="")) + (f":{port}" if port else "")
        for host, port in zip(hosts, ports, strict=False)
    )
    return f"postgresql://{','.join(places)}/{quote(keywords.get('dbname', ''))}"
