"""The address: a stream on a Redis server, as a URL names it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from healthprobe.domain.endpoint import masked
from healthprobe.ports import ConfigurationError

DEFAULT_STREAM = "runtime:health_events"

FORM = "redis://USER:PASSWORD@HOST:PORT/DB?stream=NAME&maxlen=N"

_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_OURS = ("stream", "maxlen")
_PARAMETERS = {"redis": _OURS, "rediss": (*_OURS, *_TLS_FILES), "unix": (*_OURS, "db")}
"""What may stand in the query, by scheme. What is not ours is redis-py's, under its own name."""

_DATABASE = re.compile(r"[0-9]{1,5}")
_MAXLEN = re.compile(r"0*[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """The stream `stream` on a server that messages call `name`; about the newest `maxlen` entries are kept, or all.

    `server` is the URL for redis-py, with credentials.
    """

    name: str
    stream: str
    maxlen: int | None
    server: str = field(repr=False)

    @classmethod
    def of_url(cls, url: str) -> StreamAddress:
        """The address that `url` gives, in the form `FORM`, `rediss://` for TLS, or `unix://PATH`.

        Raises ConfigurationError for anything that would not be obeyed. Nothing is connected.
        """
        parts = _parts(url)
        given = _query(url, parts)
        left_to_redis = {name: value for name, value in given.items() if name not in _OURS}
        for name in _TLS_FILES:
            if name in given:
                _check_readable(url, name, given[name])
        return cls(
            name=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",
            stream=_stream(url, given),
            maxlen=_maxlen(url, given),
            server=f"{parts.scheme}://{parts.netloc}{parts.path}?{urlencode(left_to_redis)}",
        )

    def client(self, patience: float) -> Redis:
        """A client that connects when it is used, and never tries again. Opening and closing a connection take at most
        `patience` seconds each; how long it waits for an answer is left to its user.

        It speaks the second protocol, which every server knows, and nothing that an account might not be allowed.
        """
        keepalive = {} if self.server.startswith("unix:") else {"socket_keepalive": True}
        return Redis.from_url(
            self.server,
            protocol=2,
            driver_info=None,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=patience,
            **keepalive,
        )


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # it quotes what it takes for the port: a part of the password, perhaps
        raise _refusal(url, f"it cannot be read; write {FORM}, with / ? # @ in a password percent-encoded") from None
    if parts.scheme not in _PARAMETERS:
        raise _refusal(url, f"it names no Redis server; write {FORM}")
    if parts.fragment:
        raise _refusal(url, "it has a fragment; write %23 for # in a password or a name")
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
