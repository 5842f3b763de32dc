"""The key-value bucket of runtime records."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from healthprobe.adapters.nats.connection import (
    ANSWER_WITHIN,
    JetStream,
    Refused,
    Request,
    Unanswered,
    decode_response,
)
from healthprobe.adapters.nats.errors import (
    AWAY,
    CONFLICTS,
    NO_MESSAGE,
    NO_STREAM,
    PERMANENT,
    SWITCHED_OFF,
    TEMPORARY,
    is_full,
    runs_without_jetstream,
)
from healthprobe.adapters.nats.streams import EXPECTED, NANOSECONDS, find_or_create_stream
from healthprobe.ports import StoreError

_MARKER_TTL = 3600
_DELETED = {"KV-Operation": "DEL"}
_DELETED_WITH_TTL = {"KV-Operation": "PURGE", "Nats-Rollup": "sub", "Nats-TTL": f"{_MARKER_TTL}s"}
_EXPIRES = "Nats-TTL"
_IS_DELETED = {"KV-Operation", "Nats-Marker-Reason"}

_PERMANENT = {
    **PERMANENT,
    NO_STREAM: "there is no such bucket: `healthprobe runtimes add`, `healthprobe run` or `nats kv add {name}` "
    "makes it",
    10109: "the bucket is sealed and cannot be edited any more",
}


@dataclass(frozen=True, slots=True)
class BucketState:
    """The state of a bucket, as its leader knows it.

    `last` is the sequence of its last change and `keys` the number of keys, including deleted ones that still have a
    marker. `has_max_age` is whether every key expires, `has_expiry_markers` whether expiry leaves a marker.
    """

    last: int
    keys: int
    has_max_age: bool
    has_expiry_markers: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """The value of a key, its revision (the sequence in the stream), and the headers to keep: a TTL, if any."""

    value: bytes
    revision: int
    headers: Mapping[str, str]


class Bucket:
    """The bucket that an address names. Methods that make requests raise Unanswered or Refused."""

    def __init__(self, stream: JetStream) -> None:
        address = stream.address
        self.stream = stream
        self.name = address.bucket or f"{address.prefix}_runtime_records"
        self.stream_name = f"KV_{self.name}"
        self._where = address.name if address.bucket else f"{address.name}/{self.name}"
        self._marker = _DELETED
        """The headers of a deletion: with a TTL where the bucket allows it, or every watch would read it for ever."""

    async def ensure(self) -> None:
        """Creates it if it is missing, with one value a key and as many replicas as the address asks for."""
        await find_or_create_stream(self.stream, self._config())

    async def state(self, within: float = ANSWER_WITHIN) -> BucketState:
        """Returns its state now, within so many seconds."""
        info = await self.stream.call(f"STREAM.INFO.{self.stream_name}", within=within)
        config, state = info["config"], info["state"]
        self._marker = _DELETED_WITH_TTL if config.get("allow_msg_ttl") else _DELETED
        has_max_age, has_markers = bool(config.get("max_age")), bool(config.get("subject_delete_marker_ttl"))
        return BucketState(state["last_seq"], state.get("num_subjects", 0), has_max_age, has_markers)

    async def put(self, values: Mapping[str, bytes]) -> int:
        """Puts values under their keys; returns the revision of the last, or 0."""
        return await self._publish(Request(self._subject(key), value) for key, value in values.items())

    async def entry(self, key: str) -> Entry | None:
        """Returns the value of `key` as the leader has it, or None."""
        try:
            response = await self.stream.call(
                f"STREAM.MSG.GET.{self.stream_name}", {"last_by_subj": self._subject(key)}
            )
        except Refused as refused:
            if refused.code == NO_MESSAGE:
                return None
            raise
        message = response["message"]
        headers = _headers_in(b64decode(message.get("hdrs", "")))
        if _IS_DELETED & headers.keys():
            return None
        kept = {name: text for name, text in headers.items() if name == _EXPIRES}
        return Entry(b64decode(message.get("data", "")), message["seq"], kept)

    async def replace(self, key: str, value: bytes, entry: Entry) -> int | None:
        """Replaces `entry` by `value`; returns the new revision, or None where the key has another by now."""
        headers = {**entry.headers, EXPECTED: str(entry.revision)}
        try:
            return await self._publish([Request(self._subject(key), value, headers)])
        except Refused as refused:
            if refused.code in CONFLICTS:
                return None
            raise

    async def delete(self, keys: Iterable[str]) -> int:
        """Deletes keys by markers, as other clients do; returns the revision of the last, or 0."""
        return await self._publish(Request(self._subject(key), headers=self._marker) for key in keys)

    def store_error(self, error: Unanswered | Refused) -> StoreError:
        """Returns `error` as one line that says what to change; permanent where waiting does not help."""
        if runs_without_jetstream(self.stream, error):
            return StoreError(f"{self.stream.address.name}: {SWITCHED_OFF}", permanent=True)
        if isinstance(error, Unanswered):
            return StoreError(f"{self._where}: {error}; {AWAY}")
        if error.code in TEMPORARY:
            return StoreError(f"{self._where}: {TEMPORARY[error.code]}")
        if is_full(error):
            return StoreError(f"{self._where}: the bucket is full: raise its limits, or delete keys", permanent=True)
        advice = _PERMANENT.get(error.code, f"JetStream refuses: {error}").format(name=self.name)
        return StoreError(f"{self._where}: {advice}", permanent=error.code in _PERMANENT)

    async def _publish(self, requests: Iterable[Request]) -> int:
        last = 0
        for answer in await self.stream.ask(list(requests)):
            last = max(last, decode_response(answer)["seq"])
        return last

    def _subject(self, key: str) -> str:
        return f"$KV.{self.name}.{key}"

    def _config(self) -> Mapping[str, Any]:
        return {
            "name": self.stream_name,
            "subjects": [self._subject(">")],
            "storage": "file",
            "max_msgs_per_subject": 1,
            "discard": "new",
            "allow_direct": True,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "allow_msg_ttl": True,
            "subject_delete_marker_ttl": _MARKER_TTL * NANOSECONDS,
            "duplicate_window": 120 * NANOSECONDS,
        }


def _headers_in(block: bytes) -> Mapping[str, str]:
    """Returns the headers of a stored message: the lines after the one that names the protocol."""
    lines = block.decode(errors="replace").split("\r\n")[1:]
    return {name: text.strip() for name, colon, text in (line.partition(":") for line in lines) if colon}


def key_of(subject: str) -> str:
    """Returns the key in the subject of a message of a bucket, or of one that it mirrors."""
    return subject.split(".", 2)[2]
