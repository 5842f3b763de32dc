"""The address of a NATS cluster, and of what healthprobe keeps there, in a URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from healthprobe.domain.endpoint import masked
from healthprobe.domain.shard import MOST_SHARDS
from healthprobe.ports import ConfigurationError

FORM = "nats://USER:PASSWORD@HOST:4222,HOST:4222/BUCKET?prefix=NAME&replicas=N&shards=N"

DEFAULT_PREFIX = "health"
_PARAMETERS = ("prefix", "replicas", "shards", "creds", "ca")
_PREFIX = re.compile(r"[A-Za-z0-9_-]{1,32}")
_BUCKET = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REPLICAS = ("1", "3", "5")
_SHARDS = re.compile(r"[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class NatsAddress:
    """The servers of one cluster, and the names of our streams and bucket.

    `name` stands for it in messages. Streams and subjects begin with `prefix`, so that one NATS can serve several
    platforms. `bucket` is the key-value bucket of the records, or empty. `replicas` None is three in a cluster, or one;
    `shards` None is as many as the log has. `servers` are URLs for nats-py, with credentials; `creds` and `ca` are
    files.
    """

    name: str
    prefix: str
    bucket: str
    replicas: int | None
    servers: tuple[str, ...] = field(repr=False)
    shards: int | None = None
    creds: str | None = None
    ca: str | None = None

    @property
    def credentials(self) -> Mapping[str, Any]:
        """Options of nats-py's `connect`, for nodes that were discovered too: user and password, token, or none."""
        url = urlsplit(self.servers[0])
        if not url.username:
            return {}
        if url.password is None:
            return {"token": unquote(url.username)}
        return {"user": unquote(url.username), "password": unquote(url.password)}

    @classmethod
    def of_url(cls, url: str) -> NatsAddress:
        """Returns the address in `url`, which has the form `FORM`, or `tls://` for TLS. Does not connect.

        Raises ConfigurationError for anything that would be ignored.
        """
        try:
            parts = urlsplit(url)
        except ValueError:
            raise _refusal(url, f"it cannot be read; write {FORM}") from None
        if parts.scheme not in {"nats", "tls"} or parts.fragment:
            raise _refusal(url, f"it names no NATS cluster; write {FORM}, with / ? # @ in a password percent-encoded")
        if "@" in parts.path:
            raise _refusal(url, f"write {FORM}, with / ? # @ in a password percent-encoded")
        given = _query(url, parts)
        bucket = unquote(parts.path.strip("/"))
        if bucket and not _BUCKET.fullmatch(bucket):
            raise _refusal(url, "the name of its bucket is letters, digits, - and _, at most 64 of them")
        hosts = parts.netloc.rpartition("@")[2]
        return cls(
            name=f"{parts.scheme}://{hosts}{parts.path.rstrip('/')}",
            prefix=given.get("prefix", DEFAULT_PREFIX),
            bucket=bucket,
            replicas=int(given["replicas"]) if "replicas" in given else None,
            servers=_servers(url, parts),
            shards=int(given["shards"]) if "shards" in given else None,
            creds=given.get("creds"),
            ca=given.get("ca"),
        )


def _servers(url: str, parts: SplitResult) -> tuple[str, ...]:
    credentials, at, hosts = parts.netloc.rpartition("@")
    servers = []
    for host in hosts.split(","):
        try:
            server = urlsplit(f"{parts.scheme}://{host}")
            named = bool(server.hostname) and server.port != 0
        except ValueError:
            named = False
        if not named:
            raise _refusal(url, f"it names no host or no port; write {FORM}")
        servers.append(f"{parts.scheme}://{credentials}{at}{host}")
    return tuple(servers)


def _query(url: str, parts: SplitResult) -> dict[str, str]:
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    given = dict(pairs)
    if unknown := sorted(set(given) - set(_PARAMETERS)):
        raise _refusal(url, f"{unknown[0]!r} is not known in its query; known are {', '.join(_PARAMETERS)}")
    if len(given) < len(pairs):
        raise _refusal(url, "its query gives a name twice; leave one out")
    if not _PREFIX.fullmatch(given.get("prefix", DEFAULT_PREFIX)):
        raise _refusal(url, "prefix is letters, digits, - and _, at most 32 of them")
    if given.get("replicas", "1") not in _REPLICAS:
        raise _refusal(url, f"replicas is one of {', '.join(_REPLICAS)}")
    shards = given.get("shards", "1")
    if not _SHARDS.fullmatch(shards) or int(shards) > MOST_SHARDS:
        raise _refusal(url, f"shards is a number from 1 to {MOST_SHARDS}")
    for name in ("creds", "ca"):
        if name in given and not Path(given[name]).is_file():
            raise _refusal(url, f"{name} names no file: {given[name]}")
    return given


def _refusal(url: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"{masked(url.partition('?')[0])}: {why}")
