"""What redis-py's errors mean: one line that says what to change.

No error of Redis is permanent: the server is at fault, not an event, and the event is delivered once that is repaired.
Only an event that cannot be encoded as text is permanent.
"""

from __future__ import annotations

import re

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import InvalidResponse, ResponseError
from redis.exceptions import TimeoutError as Unanswered

from healthprobe._util.text import shorten
from healthprobe.adapters.redis.address import StreamAddress
from healthprobe.ports import PublishError

_BY_CODE = {
    "NOAUTH": "it wants a password: write redis://USER:PASSWORD@HOST:PORT/DB",
    "WRONGPASS": "it refuses user and password: correct them in the URL",
    "NOPERM": "our user may not do this: ACL SETUSER it ~{stream} +xadd, and +select for a database",
    "WRONGTYPE": "its key {stream} is no stream: name another with ?stream=, or remove that key",
    "OOM": "its memory is full: raise its maxmemory, or bound the stream with ?maxlen=",
    "READONLY": "it is a replica, which takes no writes: name the primary, or Sentinels that know it",
    "LOADING": "it is still loading its data: this ends by itself",
    "MISCONF": "it cannot save to its disk and takes no writes until it can: look at its log",
    "NOREPLICAS": "too few of its replicas follow: bring them back, or lower its min-replicas-to-write",
    "MASTERDOWN": "it is a replica cut off from its primary: name the primary",
    "CLUSTERDOWN": "its cluster is down: look at CLUSTER INFO",
    "MOVED": "another node of its cluster holds {stream}: name that one",
    "ASK": "its cluster is moving {stream} to another node: name that one once it has moved",
    "TRYAGAIN": "its cluster is moving {stream}: this ends by itself",
    "BUSY": "it is busy with a script: wait, or end the script by SCRIPT KILL",
}
_DEMOTED = "previous master is now a slave"
"""What redis-py makes of READONLY where it knows the primary from Sentinels."""

_BY_PHRASE = {
    "invalid password": _BY_CODE["WRONGPASS"],
    "without any password configured": "it knows no password: leave it out of the URL, or set one there",
    "max number of clients": "it has no connection left for us: raise its maxclients",
    "DB index": "it has no database of this number: correct it in the URL",
    _DEMOTED: _BY_CODE["READONLY"],
    "unknown command": "it knows no streams: Redis from 5.0 on does",
}
_CODE = re.compile(rf"\b({'|'.join(_BY_CODE)})\b")

_TIMEOUT = "it did not answer in time: look whether it is overloaded, or can be reached at all"
_NOT_REDIS = "what answers there is no Redis server: correct host and port in the URL"
_NO_PRIMARY = "its Sentinels know no primary of this name that is up, or cannot be reached: look at SENTINEL MASTERS"
_SENTINELS_GUARDED = "its Sentinels want a password: write ?sentinel_password="
_AWAY = "it is away: look whether the server runs and can be reached"
_LONGEST_QUOTE = 160


def publish_error(error: Exception, address: StreamAddress, delivered: int) -> PublishError:
    """Returns the error to raise for `error`, which came after `delivered` events were acknowledged."""
    if isinstance(error, UnicodeEncodeError):
        message = f"{address.name}: an event cannot be written as text: {error}"
        return PublishError(message, permanent=True, delivered=delivered)
    return PublishError(
        f"{address.name}: {_advice(error, address.stream)}", delivered=delivered, code=_code(error) or ""
    )


def refuses_scripts(error: ResponseError) -> bool:
    """Returns whether the server, which answered `error` to a script, may take the same entries without one."""
    return _code(error) in {None, "NOPERM"}


def one_line(error: Exception) -> str:
    """Returns the whole answer in one line, its code first."""
    return " ".join(f"{getattr(error, 'status_code', None) or ''} {error}".split())


def _advice(error: Exception, stream: str) -> str:
    if isinstance(error, Unanswered | TimeoutError):
        return _TIMEOUT
    if isinstance(error, MasterNotFoundError):
        return _SENTINELS_GUARDED if "uthentication" in str(error) else _NO_PRIMARY
    if isinstance(error, InvalidResponse):
        return _NOT_REDIS
    answer = one_line(error)
    quote = shorten(answer, _LONGEST_QUOTE)
    for phrase, advice in _BY_PHRASE.items():
        if phrase in answer:
            return advice
    code = _code(error)
    if code is None:
        return f"it refuses: {quote}" if _is_answer(error) else f"{_AWAY} ({quote})"
    advice = _BY_CODE[code].format(stream=repr(stream))
    return f"{advice} ({quote})" if code == "NOPERM" else advice


def _code(error: Exception) -> str | None:
    """Returns the code of an answer. The errors of a script have it somewhere in their text."""
    if _DEMOTED in str(error):
        return "READONLY"
    found = _CODE.search(one_line(error)) if _is_answer(error) else None
    return found and found[1]


def _is_answer(error: Exception) -> bool:
    return isinstance(error, ResponseError) or getattr(error, "status_code", None) is not None
