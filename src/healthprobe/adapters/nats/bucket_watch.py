"""Watching a bucket: its changes as they happen, and whether what is known is up to date."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import random
from secrets import token_hex
from typing import Any, Protocol, Self

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from healthprobe.adapters.nats.bucket import Bucket, BucketState, key_of
from healthprobe.adapters.nats.connection import ANSWER_WITHIN, JetStream, Refused, Unanswered
from healthprobe.adapters.nats.record_values import RecordIndex
from healthprobe.adapters.nats.stream_leader import EVERYTHING
from healthprobe.adapters.nats.streams import EXPECTED, NANOSECONDS
from healthprobe.domain.schedule import backoff
from healthprobe.ports import StoreError

BATCH = 250
"""The most messages of a pull request: nats-py parses so many in about a millisecond."""

HEARTBEAT = 1.0
"""The idle heartbeat of the consumer, in seconds."""

SILENCE = 3.0
"""Seconds without message and heartbeat after which the consumer is taken for lost."""

_PULL_EXPIRES = 60.0
_INACTIVE_THRESHOLD = 30.0
_PAUSE_IF_UNKNOWN = 0.02
"""Seconds until a new consumer is asked again where not every server knows its leader yet."""

_IDLE_HEARTBEAT = "100"
_REQUEST_TIMEOUT = "408"
_NO_RESPONDERS = "503"
_DELETIONS = frozenset({"DEL", "PURGE"})


@dataclass(frozen=True, slots=True)
class Change:
    """`value` was put under `key`; None if the key was deleted or has expired. `expires` is whether it has a TTL.

    `had_condition` is whether its writer expected a certain message to be the last of its subject.
    """

    key: str
    value: bytes | None
    expires: bool = False
    had_condition: bool = False


class ChangedStream(Protocol):
    """A stream whose last messages are read and followed, such as that of a bucket."""

    @property
    def stream(self) -> JetStream: ...

    @property
    def stream_name(self) -> str: ...


class Changes:
    """The changes of a bucket, or of a stream, from a pull consumer in memory. Made by `open`.

    nats-py's `kv.watchall` is not used: it finds a lost consumer after 10 to 20 s, never says that it is out of date,
    and takes half as long again to read 100,000 keys.

    Messages are pulled in batches, so that they never come faster than they are processed, and are numbered, so that a
    lost one is noticed. `revision` is that of the last change, `pending` how many followed it.
    """

    def __init__(self, bucket: ChangedStream, filter_subject: str) -> None:
        self.revision = 0
        self.pending = 0
        self._bucket = bucket
        self._filter = filter_subject
        self._client = bucket.stream.client
        self._inbox = self._client.new_inbox()
        self._consumer = f"healthprobe-{token_hex(8)}"
        self._subscription: Subscription | None = None
        self._messages: list[Msg] = []
        self._received = asyncio.Event()
        self._requested = 0
        self._delivered = 0
        self._is_known = False

    @classmethod
    async def open(cls, bucket: ChangedStream, within: float, filter_subject: str = EVERYTHING) -> Self:
        """Creates the consumer, which begins with the last value of each key. Raises Unanswered or Refused."""
        changes = cls(bucket, filter_subject)
        try:
            await changes._create_consumer(within)
        except BaseException:
            await changes.aclose()
            raise
        return changes

    async def next(self) -> Sequence[Change]:
        """Waits for changes, or for a heartbeat: then it returns none.

        Raises Unanswered where a message was lost, or the consumer is gone or silent: then read the bucket again.
        """
        try:
            async with asyncio.timeout(SILENCE):
                while not await self._receive():
                    pass
        except TimeoutError:
            raise Unanswered(f"its consumer was silent for {SILENCE:g}s") from None
        messages, self._messages = self._messages, []
        return [change for message in messages if (change := self._change_in(message)) is not None]

    async def aclose(self) -> None:
        """Deletes the consumer. Never raises: a consumer that is not deleted expires."""
        with contextlib.suppress(NatsError, OSError, Unanswered):
            if self._subscription is not None:
                await self._subscription.unsubscribe()
            await self._publish("DELETE", {})

    async def _receive(self) -> bool:
        """Requests a batch, unless one is under way, and waits for a message.

        Returns False, after a moment, where the server does not know the consumer yet.
        """
        if self._requested == 0:
            body = {
                "batch": BATCH,
                "expires": round(_PULL_EXPIRES * NANOSECONDS),
                "idle_heartbeat": round(HEARTBEAT * NANOSECONDS),
            }
            await self._publish("MSG.NEXT", body)
            self._requested = BATCH
        await self._received.wait()
        self._received.clear()
        if not self._is_known and (self._messages[0].headers or {}).get("Status") == _NO_RESPONDERS:
            self._messages.clear()
            self._requested = 0
            await asyncio.sleep(_PAUSE_IF_UNKNOWN)
            return False
        self._is_known = True
        return True

    async def _create_consumer(self, within: float) -> None:
        try:
            self._subscription = await self._client.subscribe(self._inbox, cb=self._on_message)
        except (NatsError, OSError) as error:
            raise Unanswered("there is no connection") from error
        config = {
            "name": self._consumer,
            "deliver_policy": "last_per_subject",
            "filter_subject": self._filter,
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": round(_INACTIVE_THRESHOLD * NANOSECONDS),
        }
        stream = self._bucket.stream_name
        body = {"stream_name": stream, "config": config, "action": "create"}
        info = await self._bucket.stream.call(f"CONSUMER.CREATE.{stream}.{self._consumer}", body, within)
        self.pending = info["num_pending"]

    async def _publish(self, api: str, body: Mapping[str, Any]) -> None:
        """Makes a request about our consumer; the answer comes to our inbox."""
        subject = f"$JS.API.CONSUMER.{api}.{self._bucket.stream_name}.{self._consumer}"
        try:
            await self._client.publish(subject, msgspec.json.encode(body), reply=self._inbox)
        except (NatsError, OSError) as error:
            raise Unanswered("there is no connection") from error

    async def _on_message(self, message: Msg) -> None:
        self._messages.append(message)
        self._received.set()

    def _change_in(self, message: Msg) -> Change | None:
        if message.subject == self._inbox:
            self._process_status(message.headers or {})
            return None
        self.revision, number, self.pending = _metadata(message.reply)
        if number != self._delivered + 1:
            raise Unanswered("some of its changes were lost")
        self._delivered = number
        self._requested -= 1
        headers = message.headers or {}
        is_deleted = headers.get("KV-Operation") in _DELETIONS or "Nats-Marker-Reason" in headers
        value = None if is_deleted else message.data
        return Change(key_of(message.subject), value, "Nats-TTL" in headers, EXPECTED in headers)

    def _process_status(self, headers: Mapping[str, str]) -> None:
        status = headers.get("Status")
        if status == _IDLE_HEARTBEAT:
            if headers.get("Nats-Last-Consumer") != str(self._delivered):
                raise Unanswered("some of its changes were lost")
            self.pending = 0
        elif status == _REQUEST_TIMEOUT:
            self._requested = 0
        elif status is not None:
            raise Unanswered(f"its consumer has ended ({headers.get('Description', status)})")


def _metadata(ack: str) -> tuple[int, int, int]:
    """Returns stream sequence, consumer sequence and pending count from the ack subject of a message.

    The longer form of such a subject names a domain and an account, too.
    """
    parts = ack.split(".")
    first = 5 if len(parts) == 9 else 7
    return int(parts[first]), int(parts[first + 1]), int(parts[first + 3])


STALE_AFTER = 5.0
"""Seconds after which the last known records are too old to be listed. A dead leader is replaced in about that time."""

AUDIT_EVERY = 5.0
"""Seconds between comparisons with the leader's state: a replica that is cut off from the others sends heartbeats as if
nothing changed, and keys can expire without a marker."""

_AUDIT_TIMEOUT = 2.0
_LONGEST_WAIT = 0.5
_SHORTEST_TIMEOUT = 1.0
_LONGER_AFTER_FAILURE = 0.25
"""Seconds for an answer, and how many more after each failure. A request without a leader is never answered, and the
next leader is to be asked soon."""

_REST = 20
"""A bucket whose keys expire without markers is read again after so many times the seconds that reading took."""


class BucketWatch:
    """Keeps `index` up to date with `bucket`, in a task from `start` until `aclose`.

    Calls `on_change` after records have changed, once for all that changed together.
    """

    def __init__(self, bucket: Bucket, index: RecordIndex, on_change: Callable[[], None]) -> None:
        self._bucket = bucket
        self._index = index
        self._on_change = on_change
        self._notified_version = index.version
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watching: asyncio.Task[None] | None = None
        self._error: StoreError | None = None
        self._failures = 0
        self._up_to_date_at = 0.0
        self._read_for = 0.0
        self._revision = 0
        self._progress = asyncio.Event()
        self._has_ttls = False

    async def start(self) -> None:
        """Returns when the whole bucket was read. Raises Unanswered or Refused if the first attempt fails."""
        self._watching = asyncio.create_task(self._run())
        await self._first

    async def aclose(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if not self._first.cancel() and not self._first.cancelled():
            self._first.exception()

    def raise_if_stale(self) -> None:
        """Raises StoreError if the index may be out of date."""
        if self._watching is None or self._watching.done():
            raise StoreError("the bucket is not watched any more", permanent=True)
        if self._error is not None and time.monotonic() - self._up_to_date_at > STALE_AFTER:
            raise StoreError(str(self._error), permanent=self._error.permanent)

    async def wait_for(self, revision: int) -> None:
        """Waits until the index has this revision, if it comes in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STALE_AFTER):
                while self._revision < revision:
                    await self._progress.wait()

    async def _run(self) -> None:
        while True:
            try:
                await self._read_and_follow()
            except Exception as error:  # noqa: BLE001  the watch must go on whatever it was
                if not self._first.done():
                    self._first.set_exception(error)
                    return
                self._record_error(error)
                await asyncio.sleep(backoff(self._failures, random(), _LONGEST_WAIT))
                self._failures += 1

    async def _read_and_follow(self) -> None:
        """Returns when the bucket must be read again. Raises Unanswered or Refused."""
        begun = time.monotonic()
        within = ANSWER_WITHIN
        if self._first.done():
            within = min(_SHORTEST_TIMEOUT + _LONGER_AFTER_FAILURE * self._failures, ANSWER_WITHIN)
        state = await self._bucket.state(within)
        changes = await Changes.open(self._bucket, within)
        try:
            await self._read(changes, state)
            self._read_for = time.monotonic() - begun
            self._clear_error()
            if not self._first.done():
                self._first.set_result(None)
            await self._follow(changes, state)
        finally:
            await changes.aclose()

    async def _read(self, changes: Changes, state: BucketState) -> None:
        """Reads the last value of each key, and drops the keys that are gone.

        A key that is edited meanwhile moves behind all others: none is gone before nothing is pending.
        """
        seen: set[str] = set()
        while changes.revision < state.last or changes.pending > 0:
            batch = await changes.next()
            if not batch and changes.pending == 0:
                break  # the last change has expired without a marker
            seen.update(change.key for change in batch)
            self._apply(batch)
        await self._index.keep_only(seen)
        self._advance(max(changes.revision, state.last))

    async def _follow(self, changes: Changes, state: BucketState) -> None:
        """Applies changes as they come; returns when the bucket must be read again."""
        read_at = audited_at = time.monotonic()
        while True:
            self._apply(await changes.next())
            self._advance(max(changes.revision, self._revision))
            if self._up_to_date_at - audited_at >= AUDIT_EVERY:
                state = await self._audit(state)
                audited_at = time.monotonic()
                expires_silently = (state.has_max_age or self._has_ttls) and not state.has_expiry_markers
                if expires_silently and audited_at - read_at >= max(AUDIT_EVERY, _REST * self._read_for):
                    return

    async def _audit(self, before: BucketState) -> BucketState:
        """Returns the bucket's state. Raises Unanswered if the index lacks what the bucket had `before` or has now."""
        known = len(self._index)
        state = await self._bucket.state(_AUDIT_TIMEOUT)
        if self._revision < before.last or state.last < self._revision or state.keys < known:
            raise Unanswered("some of its changes did not arrive")
        return state

    def _apply(self, batch: Sequence[Change]) -> None:
        for change in batch:
            if change.value is None:
                self._index.drop(change.key)
            else:
                self._index.put(change.key, change.value)
                self._has_ttls |= change.expires
        self._notify()

    def _advance(self, revision: int) -> None:
        """The index has all changes up to `revision`, and there are no others now."""
        self._revision = revision
        self._up_to_date_at = time.monotonic()
        self._progress.set()
        self._progress.clear()
        self._notify()

    def _notify(self) -> None:
        if self._notified_version != self._index.version:
            self._notified_version = self._index.version
            if self._first.done():
                asyncio.get_running_loop().call_soon(self._on_change)

    def _clear_error(self) -> None:
        """Calls `on_change` after an outage: a listener could not list the changes that came before it."""
        had_error, self._error, self._failures = self._error is not None, None, 0
        if had_error:
            asyncio.get_running_loop().call_soon(self._on_change)

    def _record_error(self, error: Exception) -> None:
        """Keeps the first error: an outage is reported once, whatever the later attempts raise."""
        if isinstance(error, Unanswered | Refused):
            failure = self._bucket.store_error(error)
        else:
            failure = StoreError(f"the watch of the bucket broke: {error!r}; please report it")
        if self._error is None or self._error.permanent != failure.permanent:
            self._error = failure
