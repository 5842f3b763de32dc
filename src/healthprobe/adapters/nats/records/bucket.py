"""The bucket: a JetStream key-value bucket as every NATS client knows it, and what is said where it cannot be used."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from healthprobe.adapters.nats.jetstream import ANSWER_WITHIN, JetStream, Refused, Request, Unanswered
from healthprobe.adapters.nats.layout import NANOSECONDS, found_or_made_stream
from healthprobe.adapters.nats.refusals import (
    NO_LEADER,
    NO_MESSAGE,
    NO_STREAM,
    NOBODY_LEADS,
    OUTRUN,
    SWITCHED_OFF,
    has_no_jetstream,
)
from healthprobe.ports import StoreError

_MARKERS_LAST = 3600
_DELETED = {"KV-Operation": "DEL"}
_DELETED_FOR_A_WHILE = {"KV-Operation": "PURGE", "Nats-Rollup": "sub", "Nats-TTL": f"{_MARKERS_LAST}s"}
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
_EXPIRES = "Nats-TTL"
_IS_DELETED = {"KV-Operation", "Nats-Marker-Reason"}

_ADVICE = {
    10039: "JetStream is not enabled for our account: enable it there",
    NO_STREAM: "there is no such bucket: `healthprobe runtimes add`, `healthprobe run` or `nats kv add {name}` "
    "makes it",
    10074: "it is no cluster, and keeps one replica only: leave ?replicas= out, or write replicas=1",
    10077: "the bucket is full: raise its limits, or delete what is not needed",
    10109: "the bucket is sealed: nobody can edit it any more",
}
_FOR_NOW = {
    10005: "too few of its servers are there for so many replicas: bring them back, or write ?replicas=1",
    NO_LEADER: NOBODY_LEADS,
}


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a bucket goes, by the word of whoever leads it.

    `last` is the sequence of its last change, `keys` how many it has, deleted ones among them while their markers last.
    `expires` tells that it loses every key after a while, `tells_what_expires` that markers tell of what is lost so.
    """

    last: int
    keys: int
    expires: bool
    tells_what_expires: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands under a key: `value`, put as the change `sequence`, and the `headers` that go with it.

    A value that vanishes after a while has a header for that.
    """

    value: bytes
    sequence: int
    headers: Mapping[str, str]


class Bucket:
    """The bucket that an address names. What asks JetStream raises Unanswered or Refused."""

    def __init__(self, stream: JetStream) -> None:
        address = stream.address
        self.stream = stream
        self.name = address.bucket or f"{address.prefix}_runtime_records"
        self.stream_name = f"KV_{self.name}"
        self._where = address.name if address.bucket else f"{address.name}/{self.name}"
        self._marker = _DELETED
        """How keys are deleted here: markers that stay for ever would be read by everybody for ever."""

    async def ensure(self) -> None:
        """Make it where it is missing, with one value a key and as many replicas as the address wants."""
        await found_or_made_stream(self.stream, self._config())

    async def extent(self, within: float = ANSWER_WITHIN) -> Extent:
        """How far it goes now, told within so many seconds."""
        told = await self.stream.call(f"STREAM.INFO.{self.stream_name}", within=within)
        config, state = told["config"], told["state"]
        self._marker = _DELETED_FOR_A_WHILE if config.get("allow_msg_ttl") else _DELETED
        expires, is_told = bool(config.get("max_age")), bool(config.get("subject_delete_marker_ttl"))
        return Extent(state["last_seq"], state.get("num_subjects", 0), expires, is_told)

    async def put(self, values: Mapping[str, bytes]) -> int:
        """Put these values under their keys; the sequence of the last one, or 0."""
        return await self._publish(Request(self._subject(key), value) for key, value in values.items())

    async def entry(self, key: str) -> Entry | None:
        """What stands under `key` by the word of whoever leads the bucket; None where nothing does."""
        try:
            told = await self.stream.call(f"STREAM.MSG.GET.{self.stream_name}", {"last_by_subj": self._subject(key)})
        except Refused as refused:
            if refused.code == NO_MESSAGE:
                return None
            raise
        message = told["message"]
        headers = _headers_in(b64decode(message.get("hdrs", "")))
        if _IS_DELETED & headers.keys():
            return None
        kept = {name: text for name, text in headers.items() if name == _EXPIRES}
        return Entry(b64decode(message.get("data", "")), message["seq"], kept)

    async def replace(self, key: str, value: bytes, entry: Entry) -> int | None:
        """Put `value` in the place of `entry`; its sequence, or None where something else stands there by now."""
        headers = {**entry.headers, _EXPECTED: str(entry.sequence)}
        try:
            return await self._publish([Request(self._subject(key), value, headers)])
        except Refused as refused:
            if refused.code in OUTRUN:
                return None
            raise

    async def delete(self, keys: Iterable[str]) -> int:
        """Delete these keys, as other clients do: by a marker. The sequence of the last one, or 0."""
        return await self._publish(Request(self._subject(key), headers=self._marker) for key in keys)

    def plain_error(self, error: Unanswered | Refused) -> StoreError:
        """`error` in one line that says what to change; permanent where no waiting helps."""
        if has_no_jetstream(self.stream, error):
            return StoreError(f"{self.stream.address.name}: {SWITCHED_OFF}", permanent=True)
        if isinstance(error, Unanswered):
            return StoreError(f"{self._where}: {error}; look whether the servers run, and most of them see each other")
        if error.code in _FOR_NOW:
            return StoreError(f"{self._where}: {_FOR_NOW[error.code]}")
        advice = _ADVICE.get(error.code, f"JetStream refuses: {error}").format(name=self.name)
        return StoreError(f"{self._where}: {advice}", permanent=error.code in _ADVICE)

    async def _publish(self, requests: Iterable[Request]) -> int:
        last = 0
        for answer in await self.stream.ask(list(requests)):
            told = msgspec.json.decode(answer)
            if (error := told.get("error")) is not None:
                raise Refused(error.get("err_code", 0), error.get("description", "it does not say why"))
            last = max(last, told["seq"])
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
            "subject_delete_marker_ttl": _MARKERS_LAST * NANOSECONDS,
            "duplicate_window": 120 * NANOSECONDS,
        }


def _headers_in(block: bytes) -> Mapping[str, str]:
    """The headers of a stored message: lines after one that names the protocol."""
    lines = block.decode(errors="replace").split("\r\n")[1:]
    return {name: text.strip() for name, colon, text in (line.partition(":") for line in lines) if colon}


def key_of(subject: str) -> str:
    """The key of a message of a bucket, or of one that it mirrors."""
    return subject.split(".", 2)[2]
