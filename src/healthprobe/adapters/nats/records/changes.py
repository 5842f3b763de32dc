"""Changes: what happens in a bucket, in order and without a gap, from the last value of each key on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Self

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from healthprobe.adapters.nats.jetstream import Unanswered
from healthprobe.adapters.nats.layout import NANOSECONDS
from healthprobe.adapters.nats.records.bucket import Bucket, key_of

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
