"""Names of URLs for messages, logs and cursors, without secrets."""

from __future__ import annotations

import re
from hashlib import sha256
from urllib.parse import parse_qs, urlencode, urlsplit

from healthprobe.domain.endpoint import masked

NOTIFY = "notify+"
"""What comes before a URL of apprise where it is the URL of an alerter."""

_REDIS = ("redis", "rediss", "unix")
_SENTINEL = ("redis+sentinel", "rediss+sentinel")
_HTTP = ("http", "https")
_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")
_PORTS = {"redis": 6379, "rediss": 6379, "http": 80, "https": 443}
_NATS = ("nats", "tls")
_PASSWORD = re.compile(r"(://[^/@:]*):[^/]*@")
_PART_OF_THE_NAME = ("stream", "db")
"""The parameters of a Redis URL that say where events go. Others may change, or are secret."""


def scheme_of(url: str) -> str:
    """Returns the text before the first colon."""
    return url.partition(":")[0]


def shown(url: str) -> str:
    """Returns the URL without credentials and without its query, for messages and logs."""
    return masked(url.partition("?")[0]) if "://" in url else url


def publisher_name(url: str) -> str:
    """Returns the name of the relay to a URL, under which the log keeps its cursor and its dead letters.

    The name does not depend on credentials, tokens, limits or default ports, so that a relay continues at its cursor.
    A primary that Sentinels know has the name that it has there, whichever Sentinels are asked. A word after a #
    distinguishes two webhooks that differ only in their query, and a digest of the query two URLs of a plugin.

    >>> publisher_name("rediss://user:secret@bus:6379/0?stream=health&maxlen=1000")
    'rediss://bus?stream=health'
    >>> publisher_name("redis+sentinel://:secret@s1,s2:26380/mymaster/0")
    'redis+sentinel://mymaster'
    >>> publisher_name("https://hook:443/health?token=secret#on-call")
    'https://hook/health#on-call'
    """
    if "://" not in url:
        return url
    scheme = scheme_of(url)
    location, _, rest = url.partition("?")
    bare = _plain(location.partition("#")[0], scheme)
    if scheme in _SENTINEL:
        bare = f"{scheme}://{location.partition('://')[2].partition('/')[2].removesuffix('/0')}"
    if scheme in {*_REDIS, *_SENTINEL}:
        named = {name: values for name, values in parse_qs(rest).items() if name in _PART_OF_THE_NAME}
        return f"{bare}?{urlencode(named, doseq=True, safe=':')}" if named else bare
    if scheme in _HTTP:
        word = url.partition("#")[2]
        return f"{bare}#{word}" if word else bare
    return f"{bare}?{_digest(rest)}" if rest else bare


def notification_name(url: str, target: str = "") -> str:
    """Returns the name of the alerter that notifies one target of a URL, all of which may be secret.

    The name does not depend on a password. The target is empty where the URL has one.

    >>> notification_name("slack://TokenA/TokenB/TokenC/#on-call")
    'slack:eaec8877'
    """
    named = _PASSWORD.sub(r"\1@", url) + (f"\n{target}" if target else "")
    return f"{scheme_of(url)}:{_digest(named)}"


def alerter_name(url: str) -> str:
    """Returns the name of the alerters at a URL, without secrets.

    >>> alerter_name("alertmanager+http://user:secret@am:9093"), alerter_name("notify+slack://TokenA/TokenB/#on-call")
    ('alertmanager+http://am:9093', 'slack:95f5804a')
    """
    return notification_name(url.removeprefix(NOTIFY)) if url.startswith(NOTIFY) else publisher_name(url)


def records_name(url: str, query: str | None = None) -> str:
    """Returns a name that is equal for two instances that read the same games: the place and the query.

    The name does not depend on credentials, nor on the order of several servers.

    >>> records_name("nats://healthprobe:secret@n1,n2/games"), records_name("nats://n3/games")
    ('nats:games', 'nats:games')
    >>> records_name("postgresql://reader:secret@db/platform?sslmode=require")
    'postgresql://db/platform'
    """
    if scheme_of(url) in _NATS:
        parts = urlsplit(url)
        prefix = parse_qs(parts.query).get("prefix", ["health"])[-1]
        return f"nats:{parts.path.strip('/') or f'{prefix}_runtime_records'}"
    where = url if "://" not in url else _plain(url.partition("?")[0], scheme_of(url))
    if scheme_of(url) in _POSTGRES:
        hosts, slash, database = where.partition("://")[2].partition("/")
        where = f"postgresql://{','.join(sorted(hosts.split(',')))}{slash}{database}"
    return where if query is None else f"{where} --records-query {_digest(' '.join(query.split()))}"


def _plain(location: str, scheme: str) -> str:
    """Returns scheme, host, port and path without defaults."""
    without_credentials = masked(location).replace("***@", "", 1)
    without_port = re.sub(rf"^([^/]*//[^/]*):{_PORTS.get(scheme, 0)}(?=/|$)", r"\1", without_credentials)
    return re.sub(r"/0?$", "", without_port) if scheme in {"redis", "rediss"} else without_port


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]
