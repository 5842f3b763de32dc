"""The bucket of runtime records: opened, read and watched."""

from __future__ import annotations

import asyncio
import contextlib
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import random
from secrets import token_hex
from typing import Any, Self

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from healthprobe.adapters.nats.connection import ANSWER_WITHIN, JetStream, Refused, Request, Unanswered
from healthprobe.adapters.nats.errors import (
    AWAY,
    LEADERLESS,
    NO_LEADER,
    NO_MESSAGE,
    NO_STREAM,
    OUTRUN,
    SWITCHED_OFF,
    is_full,
    runs_without_jetstream,
)
from healthprobe.adapters.nats.record_values import Contents
from healthprobe.adapters.nats.streams import EXPECTED, NANOSECONDS, found_or_made_stream
from healthprobe.domain.schedule import backoff
from healthprobe.ports import StoreError

_MARKERS_LAST = 3600
_DELETED = {"KV-Operation": "DEL"}
_DELETED_FOR_A_WHILE = {"KV-Operation": "PURGE", "Nats-Rollup": "sub", "Nats-TTL": f"{_MARKERS_LAST}s"}
_EXPIRES = "Nats-TTL"
_IS_DELETED = {"KV-Operation", "Nats-Marker-Reason"}

_ADVICE = {
    10039: "JetStream is not enabled for our account: enable it there",
    NO_STREAM: "there is no such bucket: `healthprobe runtimes add`, `healthprobe run` or `nats kv add {name}` "
    "makes it",
    10074: "it is no cluster, and keeps one replica only: leave ?replicas= out, or write replicas=1",
    10109: "the bucket is sealed: nobody can edit it any more",
}
_FOR_NOW = {
    10005: "too few of its servers are there for so many replicas: bring them back, or write ?replicas=1",
    NO_LEADER: LEADERLESS,
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
        headers = {**entry.headers, EXPECTED: str(entry.sequence)}
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
        if runs_without_jetstream(self.stream, error):
            return StoreError(f"{self.stream.address.name}: {SWITCHED_OFF}", permanent=True)
        if isinstance(error, Unanswered):
            return StoreError(f"{self._where}: {error}; {AWAY}")
        if error.code in _FOR_NOW:
            return StoreError(f"{self._where}: {_FOR_NOW[error.code]}")
        if is_full(error):
            return StoreError(f"{self._where}: the bucket is full: raise its limits, or delete keys", permanent=True)
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


PORTION = 250
"""The most changes that are asked for at once: nats-py makes them messages in about a millisecond."""

HEARTBEAT = 1.0
"""Seconds between signs of life while nothing changes."""

SILENCE = 3.0
"""Seconds without any sign after which no more is awaited."""

_REQUEST_LASTS = 60.0
_CONSUMER_LASTS = 30.0
_NOT_KNOWN_YET = 0.02
"""Seconds until a consumer that was just made is asked again where not every server has heard who leads it."""

_ALIVE = "100"
_TIME_IS_UP = "408"
_NO_RESPONDERS = "503"
_DELETIONS = frozenset({"DEL", "PURGE"})


@dataclass(frozen=True, slots=True)
class Change:
    """`value` was put under `key`, or, where it is None, the key was deleted or has expired.

    `expires` tells that the value will vanish by itself.
    """

    key: str
    value: bytes | None
    expires: bool = False


class Changes:
    """The changes of a bucket, as a consumer gives them that JetStream keeps for us in memory. Made by `open`.

    It is asked for a portion at a time, so that nothing comes faster than we take it, and it numbers what it gives, so
    that we see what is missing. `position` is the sequence of the last change, `pending` how many were to come after.
    """

    def __init__(self, bucket: Bucket) -> None:
        self.position = 0
        self.pending = 0
        self._bucket = bucket
        self._client = bucket.stream.client
        self._inbox = self._client.new_inbox()
        self._consumer = f"healthprobe-{token_hex(8)}"
        self._subscription: Subscription | None = None
        self._came: list[Msg] = []
        self._something_came = asyncio.Event()
        self._asked = 0
        self._given = 0
        self._is_known = False

    @classmethod
    async def open(cls, bucket: Bucket, within: float) -> Self:
        """Begin with the last value of each key, within so many seconds. Raises Unanswered or Refused."""
        changes = cls(bucket)
        try:
            await changes._begin(within)
        except BaseException:
            await changes.aclose()
            raise
        return changes

    async def next(self) -> Sequence[Change]:
        """The next ones as soon as there are any; none now and then, at least once a HEARTBEAT.

        Raises Unanswered where one was lost, or where the consumer is gone or silent: then all is to be read again.
        """
        try:
            async with asyncio.timeout(SILENCE):
                while not await self._is_heard():
                    pass
        except TimeoutError:
            raise Unanswered(f"nothing was heard of it for {SILENCE:g}s") from None
        came, self._came = self._came, []
        return [change for message in came if (change := self._change_in(message)) is not None]

    async def aclose(self) -> None:
        """Let JetStream forget the consumer, at once where it hears of it, else after a while. Raises nothing."""
        with contextlib.suppress(NatsError, OSError, Unanswered):
            if self._subscription is not None:
                await self._subscription.unsubscribe()
            await self._ask("DELETE", {})

    async def _is_heard(self) -> bool:
        """Ask, unless that is under way, and wait until something came.

        False, after a moment, where nobody knows our consumer yet.
        """
        if self._asked == 0:
            body = {
                "batch": PORTION,
                "expires": round(_REQUEST_LASTS * NANOSECONDS),
                "idle_heartbeat": round(HEARTBEAT * NANOSECONDS),
            }
            await self._ask("MSG.NEXT", body)
            self._asked = PORTION
        await self._something_came.wait()
        self._something_came.clear()
        if not self._is_known and (self._came[0].headers or {}).get("Status") == _NO_RESPONDERS:
            self._came.clear()
            self._asked = 0
            await asyncio.sleep(_NOT_KNOWN_YET)
            return False
        self._is_known = True
        return True

    async def _begin(self, within: float) -> None:
        try:
            self._subscription = await self._client.subscribe(self._inbox, cb=self._take)
        except (NatsError, OSError) as error:
            raise Unanswered("there is no connection") from error
        config = {
            "name": self._consumer,
            "deliver_policy": "last_per_subject",
            "filter_subject": ">",
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": round(_CONSUMER_LASTS * NANOSECONDS),
        }
        stream = self._bucket.stream_name
        body = {"stream_name": stream, "config": config, "action": "create"}
        told = await self._bucket.stream.call(f"CONSUMER.CREATE.{stream}.{self._consumer}", body, within)
        self.pending = told["num_pending"]

    async def _ask(self, api: str, body: Mapping[str, Any]) -> None:
        """Ask for something about our consumer; the answer comes to our inbox."""
        subject = f"$JS.API.CONSUMER.{api}.{self._bucket.stream_name}.{self._consumer}"
        try:
            await self._client.publish(subject, msgspec.json.encode(body), reply=self._inbox)
        except (NatsError, OSError) as error:
            raise Unanswered("there is no connection") from error

    async def _take(self, message: Msg) -> None:
        self._came.append(message)
        self._something_came.set()

    def _change_in(self, message: Msg) -> Change | None:
        if message.subject == self._inbox:
            self._heed(message)
            return None
        self.position, number, self.pending = _numbers(message.reply)
        if number != self._given + 1:
            raise Unanswered("some of its changes were lost on the way")
        self._given = number
        self._asked -= 1
        headers = message.headers or {}
        is_deleted = headers.get("KV-Operation") in _DELETIONS or "Nats-Marker-Reason" in headers
        return Change(key_of(message.subject), None if is_deleted else message.data, "Nats-TTL" in headers)

    def _heed(self, message: Msg) -> None:
        """What JetStream itself says about the consumer, or about our last request."""
        headers = message.headers or {}
        status = headers.get("Status")
        if status == _ALIVE:
            if headers.get("Nats-Last-Consumer") != str(self._given):
                raise Unanswered("some of its changes were lost on the way")
            self.pending = 0
        elif status == _TIME_IS_UP:
            self._asked = 0
        elif status is not None:
            raise Unanswered(f"it is not told any more ({headers.get('Description', status)})")


def _numbers(ack: str) -> tuple[int, int, int]:
    """The sequence of a message, its number at the consumer, and how many are to come, as its ack subject tells.

    The longer form of such a subject names a domain and an account, too.
    """
    parts = ack.split(".")
    first = 5 if len(parts) == 9 else 7
    return int(parts[first]), int(parts[first + 1]), int(parts[first + 3])


PATIENCE = 5.0
"""Seconds after which what we know is too old to be told: a leader that dies is replaced in about that time."""

AUDIT_EVERY = 5.0
"""Seconds after which whoever leads the bucket is asked whether we have all of it: a replica that was cut off from the
others is silent as if nothing changed, and keys can vanish without a word."""

_AUDIT_LASTS = 2.0
_LONGEST_WAIT = 0.5
_SHORTEST_CALL = 1.0
_MORE_PATIENCE = 0.25
"""Seconds for an answer, and how many more after each failure. What is asked while nobody leads the bucket is never
answered, and whoever leads it next is to be asked soon."""

_REST = 20
"""A bucket whose keys expire silently is read again and again, and left alone so many times as long as that took."""


class Watch:
    """Keeps `contents` as `bucket` is, in a task of its own from `start` until `aclose`.

    `on_change` is called in a turn of the loop of its own after records have changed, once for all that came together.
    """

    def __init__(self, bucket: Bucket, contents: Contents, on_change: Callable[[], None]) -> None:
        self._bucket = bucket
        self._contents = contents
        self._on_change = on_change
        self._told_revision = contents.revision
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watching: asyncio.Task[None] | None = None
        self._trouble: StoreError | None = None
        self._failures = 0
        self._current_at = 0.0
        self._read_for = 0.0
        self._position = 0
        self._moved = asyncio.Event()
        self._some_expire = False

    async def start(self) -> None:
        """Returns once all of the bucket was read. Raises Unanswered or Refused where that fails at the first try."""
        self._watching = asyncio.create_task(self._run())
        await self._first

    async def aclose(self) -> None:
        """End it."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if not self._first.cancel() and not self._first.cancelled():
            self._first.exception()

    def vouch(self) -> None:
        """Raises StoreError where nobody knows whether what we know is still so."""
        if self._watching is None or self._watching.done():
            raise StoreError("the bucket is not watched any more", permanent=True)
        if self._trouble is not None and time.monotonic() - self._current_at > PATIENCE:
            raise StoreError(str(self._trouble), permanent=self._trouble.permanent)

    async def reach(self, sequence: int) -> None:
        """Wait until we know of the change with this sequence, if it comes in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self._position < sequence:
                    await self._moved.wait()

    async def _run(self) -> None:
        while True:
            try:
                await self._read_and_follow()
            except Exception as error:  # noqa: BLE001  whatever it was, the bucket must not be left unwatched
                if not self._first.done():
                    self._first.set_exception(error)
                    return
                self._note(error)
                await asyncio.sleep(backoff(self._failures, random(), _LONGEST_WAIT))
                self._failures += 1

    async def _read_and_follow(self) -> None:
        """Until there is reason to read all of it again. Raises Unanswered or Refused."""
        begun = time.monotonic()
        within = ANSWER_WITHIN
        if self._first.done():
            within = min(_SHORTEST_CALL + _MORE_PATIENCE * self._failures, ANSWER_WITHIN)
        extent = await self._bucket.extent(within)
        changes = await Changes.open(self._bucket, within)
        try:
            await self._read(changes, extent)
            self._read_for = time.monotonic() - begun
            self._be_well()
            if not self._first.done():
                self._first.set_result(None)
            await self._follow(changes, extent)
        finally:
            await changes.aclose()

    async def _read(self, changes: Changes, extent: Extent) -> None:
        """Take the last value of each key over, and forget what is not there any more.

        A key that is edited meanwhile has its value behind all others: it is not gone before nothing is to come.
        """
        seen: set[str] = set()
        while changes.position < extent.last or changes.pending > 0:
            portion = await changes.next()
            if not portion and changes.pending == 0:
                break  # what was changed last is gone without a marker
            seen.update(change.key for change in portion)
            self._take(portion)
        await self._contents.keep_only(seen)
        self._reach(max(changes.position, extent.last))

    async def _follow(self, changes: Changes, extent: Extent) -> None:
        """Take changes over as they come, and return when the bucket is to be read again."""
        read_at = audited_at = time.monotonic()
        while True:
            self._take(await changes.next())
            self._reach(max(changes.position, self._position))
            if self._current_at - audited_at >= AUDIT_EVERY:
                extent = await self._audit(extent)
                audited_at = time.monotonic()
                if self._forgets(extent) and audited_at - read_at >= max(AUDIT_EVERY, _REST * self._read_for):
                    return

    async def _audit(self, before: Extent) -> Extent:
        """How far the bucket goes. Raises Unanswered where we do not have what it had `before`, or what it has now."""
        known = len(self._contents)
        extent = await self._bucket.extent(_AUDIT_LASTS)
        if self._position < before.last or extent.last < self._position or extent.keys < known:
            raise Unanswered("it does not tell all that changes")
        return extent

    def _forgets(self, extent: Extent) -> bool:
        """Whether keys of this bucket vanish and nobody is told."""
        return (extent.expires or self._some_expire) and not extent.tells_what_expires

    def _take(self, portion: Sequence[Change]) -> None:
        for change in portion:
            if change.value is None:
                self._contents.drop(change.key)
            else:
                self._contents.take(change.key, change.value)
                self._some_expire |= change.expires
        self._tell()

    def _reach(self, position: int) -> None:
        """We know all up to `position`, and there is nothing else at this moment."""
        self._position = position
        self._current_at = time.monotonic()
        self._moved.set()
        self._moved.clear()
        self._tell()

    def _tell(self) -> None:
        if self._told_revision != self._contents.revision:
            self._told_revision = self._contents.revision
            if self._first.done():
                asyncio.get_running_loop().call_soon(self._on_change)

    def _be_well(self) -> None:
        """Who was told of a change while we could not vouch for anything has not seen it: it is told again."""
        was_in_trouble, self._trouble, self._failures = self._trouble is not None, None, 0
        if was_in_trouble:
            asyncio.get_running_loop().call_soon(self._on_change)

    def _note(self, error: Exception) -> None:
        """Keep what went wrong first: an outage is one complaint, whatever each new try meets in it."""
        if isinstance(error, Unanswered | Refused):
            trouble = self._bucket.plain_error(error)
        else:
            trouble = StoreError(f"the watch of the bucket broke: {error!r}; please report it")
        if self._trouble is None or self._trouble.permanent != trouble.permanent:
            self._trouble = trouble
