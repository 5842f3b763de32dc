"""The URL of a stream on a Redis server, or on the primary that Sentinels know."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from healthprobe.adapters.redis.sentinel import PORT, Sentinels
from healthprobe.domain.endpoint import masked
from healthprobe.ports import ConfigurationError

DEFAULT_STREAM = "runtime:health_events"

FORM = "redis://USER:PASSWORD@HOST:PORT/DB?stream=NAME&maxlen=N"

SENTINEL_FORM = "redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/MASTER/DB?stream=NAME"

_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_OWN_PARAMETERS = ("stream", "maxlen")
_OF_SENTINELS = ("sentinel_username", "sentinel_password")
_PARAMETERS = {
    "redis": _OWN_PARAMETERS,
    "rediss": (*_OWN_PARAMETERS, *_TLS_FILES),
    "unix": (*_OWN_PARAMETERS, "db"),
    "redis+sentinel": (*_OWN_PARAMETERS, *_OF_SENTINELS),
    "rediss+sentinel": (*_OWN_PARAMETERS, *_OF_SENTINELS, *_TLS_FILES),
}
"""The parameters in the query, by scheme. All but our own are redis-py's."""

_DATABASE = re.compile(r"[0-9]{1,5}")
_MAXLEN = re.compile(r"0*[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """A stream on a server. About the newest `maxlen` entries are kept, or all.

    Messages use `name`; `server` is the URL for redis-py, with credentials, or the Sentinels that know the primary.
    """

    name: str
    stream: str
    maxlen: int | None
    server: str | Sentinels = field(repr=False)

    @classmethod
    def of_url(cls, url: str) -> StreamAddress:
        """Returns the address in `url`: of the form `FORM` or `SENTINEL_FORM`, `rediss` for TLS, or `unix://PATH`.

        Raises ConfigurationError, also for parameters that are not known. Does not connect.
        """
        parts = _parts(url)
        given = _query(url, parts)
        redis_parameters = {name: value for name, value in given.items() if name not in _OWN_PARAMETERS}
        for name in _TLS_FILES:
            if name in given:
                _check_readable(url, name, given[name])
        server: str | Sentinels = f"{parts.scheme}://{parts.netloc}{parts.path}?{urlencode(redis_parameters)}"
        if _is_sentinel(parts):
            server = _sentinels(url, parts, redis_parameters)
        return cls(
            name=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",
            stream=_stream(url, given),
            maxlen=_maxlen(url, given),
            server=server,
        )

    def client(self, timeout: float) -> Redis:
        """Returns a client that connects when it is used, and does not retry.

        `timeout` is for connecting and for closing; its user bounds the wait for an answer. It speaks protocol 2, which
        every server knows, and sends no command of its own that an account might not be allowed.
        """
        common: dict[str, Any] = {
            "protocol": 2,
            "driver_info": None,
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": None,
        }
        if isinstance(self.server, Sentinels):
            return self.server.client(timeout, common)
        keepalive = {} if self.server.startswith("unix:") else {"socket_keepalive": True}
        return Redis.from_url(self.server, socket_connect_timeout=timeout, **common, **keepalive)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = None if _is_sentinel(parts) else parts.port
    except ValueError:  # its text quotes what it takes for the port, which may be a part of the password
        raise _refusal(url, f"it cannot be read; write {FORM}, with / ? # @ in a password percent-encoded") from None
    if parts.scheme not in _PARAMETERS:
        raise _refusal(url, f"it names no Redis server; write {FORM}")
    if parts.fragment:
        raise _refusal(url, "it has a fragment; write %23 for # in a password or a name")
    if _is_sentinel(parts):
        return parts
    if parts.scheme == "unix":
        if parts.hostname or not parts.path:
            raise _refusal(url, "a socket is named by its whole path, as in unix:///run/redis/redis.sock")
    elif not parts.hostname or port == 0:
        raise _refusal(url, f"it names no host or no port; write {FORM}")
    elif parts.path not in {"", "/"} and not _DATABASE.fullmatch(parts.path[1:]):
        raise _refusal(url, "what follows the host is the number of a database, as in /0")
    return parts


def _query(url: str, parts: SplitResult) -> dict[str, str]:
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    given = dict(pairs)
    known = _PARAMETERS[parts.scheme]
    if unknown := sorted(set(given) - set(known)):
        raise _refusal(url, f"{unknown[0]!r} is not known in its query; known are {', '.join(known)}")
    if len(given) < len(pairs):
        raise _refusal(url, "its query gives a name twice; leave one out")
    if not _DATABASE.fullmatch(given.get("db", "0")):
        raise _refusal(url, "db must be the number of a database, as in db=0")
    return given


def _is_sentinel(parts: SplitResult) -> bool:
    return parts.scheme.endswith("+sentinel")


def _sentinels(url: str, parts: SplitResult, given: dict[str, str]) -> Sentinels:
    """Returns the Sentinels and the name of the primary in a URL of the form `SENTINEL_FORM`."""
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    master, _, database = parts.path[1:].partition("/")
    if not master:
        raise _refusal(url, f"it names no primary; write {SENTINEL_FORM}, where MASTER is its name at the Sentinels")
    if not _DATABASE.fullmatch(database or "0"):
        raise _refusal(url, "what follows the name of the primary is the number of a database, as in /mymaster/0")
    tls = {"ssl": True} if parts.scheme.startswith("rediss") else {}
    encrypted = {**tls, **{name: given[name] for name in _TLS_FILES if name in given}}
    to_primary = {"username": unquote(user) or None, "password": unquote(password) or None, "db": int(database or 0)}
    to_sentinels = {
        "username": given.get("sentinel_username") or None,
        "password": given.get("sentinel_password") or None,
    }
    return Sentinels(
        places=[_place(url, host) for host in hosts.split(",")],
        master=unquote(master),
        to_sentinels={**to_sentinels, **encrypted},
        to_primary={**to_primary, **encrypted},
    )


def _place(url: str, place: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{place}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, 0
    if not host or port == 0:
        raise _refusal(url, f"it names a Sentinel without host or port; write {SENTINEL_FORM}")
    return host, port or PORT


def _stream(url: str, given: dict[str, str]) -> str:
    stream = given.get("stream", DEFAULT_STREAM)
    if not stream:
        raise _refusal(url, f"stream is empty; name one or leave it out for {DEFAULT_STREAM}")
    return stream


def _maxlen(url: str, given: dict[str, str]) -> int | None:
    maxlen = given.get("maxlen")
    if maxlen is None:
        return None
    if not _MAXLEN.fullmatch(maxlen):
        raise _refusal(url, "maxlen must be a positive number of entries; leave it out to keep all")
    return int(maxlen)


def _check_readable(url: str, parameter: str, path: str) -> None:
    try:
        Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise _refusal(url, f"{parameter} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _refusal(url: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{masked(url)}: {reason}")
