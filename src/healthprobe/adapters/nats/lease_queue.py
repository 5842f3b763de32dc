"""A work queue on JetStream that gives leases: a lease is a message that was pulled and is not acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from healthprobe._util.aio import AutoResetEvent
from healthprobe.adapters.nats.connection import ANSWER_WITHIN, JetStream, Refused, Request, Unanswered
from healthprobe.adapters.nats.errors import CONFLICTS
from healthprobe.adapters.nats.streams import EXPECTED, NANOSECONDS, ensure_consumer, ensure_stream

_IN_PROGRESS = b"+WPI"
_NAK = b"-NAK"
_REQUEST_TIMEOUT = "408"

_DRAIN_WITHIN = 0.5
_GRACE = 0.5
"""Seconds after the end of a pull request within which the server's status for it must arrive."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Lease `number` of the queue, given by a message that is acknowledged at the subject `ack`.

    It was requested at `asked_at`, monotonic seconds: the server counts from a later moment.
    """

    number: int
    ack: str
    asked_at: float


@dataclass(frozen=True, slots=True)
class QueueState:
    """How many seconds a lease lasts, and the error, if any, that kept a missing lease from being put back."""

    lasts: float
    error: Refused | None


@dataclass(slots=True)
class _Pull:
    """A pull request for `left` more leases. Each has its own subscription: messages do not name their request."""

    sent_at: float
    ends_at: float
    left: int
    subscription: Subscription | None = field(default=None)


class LeaseQueue:
    """The leases `names` of the queue `queue`, numbered in their order. All times are seconds.

    Methods that make requests raise Unanswered, unless they say otherwise, and Refused where they say so.
    """

    def __init__(self, stream: JetStream, queue: str, names: Sequence[str], monotonic: Callable[[], float]) -> None:
        self._stream = stream
        self._queue = queue
        self._leases = f"{stream.address.prefix}_leases"
        self._subjects = [f"{stream.address.prefix}.leases.{queue}.{name}" for name in names]
        self._numbers = {subject: number for number, subject in enumerate(self._subjects)}
        self._monotonic = monotonic
        self._pulls: list[_Pull] = []
        self._grants: list[Grant] = []
        self._something_came = AutoResetEvent()

    async def prepare(self, lasts: float) -> float | None:
        """Creates stream and consumer for leases of `lasts` seconds, or changes those that exist.

        Returns how long leases lasted before if that is different. Raises Refused.
        """
        prefix = self._stream.address.prefix
        await ensure_stream(
            self._stream,
            {
                "name": self._leases,
                "subjects": [f"{prefix}.leases.>"],
                "retention": "workqueue",
                "storage": "file",
                "max_msgs_per_subject": 1,
                "discard": "new",
                "discard_new_per_subject": True,
            },
        )
        existing = await ensure_consumer(
            self._stream,
            self._leases,
            {
                "name": self._queue,
                "durable_name": self._queue,
                "filter_subject": f"{prefix}.leases.{self._queue}.*",
                "deliver_policy": "all",
                "ack_policy": "explicit",
                "ack_wait": round(lasts * NANOSECONDS),
                "max_deliver": -1,
                "max_ack_pending": -1,
            },
        )
        before: float | None = None if existing is None else existing["ack_wait"] / NANOSECONDS
        return None if before == round(lasts * NANOSECONDS) / NANOSECONDS else before

    async def inspect(self, within: float = ANSWER_WITHIN) -> QueueState:
        """Puts missing leases back, and returns the state of the queue. Raises Refused."""
        info = await self._stream.call(f"CONSUMER.INFO.{self._leases}.{self._queue}", within=within)
        error = None
        if info["num_pending"] + info["num_ack_pending"] < len(self._subjects):
            requests = [Request(subject, headers={EXPECTED: "0"}) for subject in self._subjects]
            for answer in await self._stream.ask(requests, within):
                refusal = msgspec.json.decode(answer).get("error")
                if refusal is not None and refusal["err_code"] not in CONFLICTS:
                    error = Refused(refusal["err_code"], refusal["description"])
        return QueueState(info["config"]["ack_wait"] / NANOSECONDS, error)

    @property
    def outstanding(self) -> int:
        """How many leases were requested and may still come."""
        now = self._monotonic()
        return sum(pull.left for pull in self._pulls if now < pull.ends_at + _GRACE)

    async def request(self, count: int, expires: float) -> None:
        """Requests `count` leases: those that are free now, and those that become free within `expires` seconds.

        Subscribes only while connected: nats-py would keep the subscription and make it at the next server, after
        the request has ended.
        """
        await self._drop_ended_pulls()
        if not self._stream.is_connected:
            raise Unanswered("there is no connection")
        now = self._monotonic()
        pull = _Pull(now, now + expires, count)
        self._pulls.append(pull)
        client = self._stream.client

        async def on_message(message: Msg) -> None:
            self._on_message(pull, message)

        body = msgspec.json.encode({"batch": count, "expires": round(expires * NANOSECONDS)})
        try:
            async with asyncio.timeout(expires):
                inbox = client.new_inbox()
                pull.subscription = await client.subscribe(inbox, cb=on_message)
                await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{self._leases}.{self._queue}", body, reply=inbox)
        except (NatsError, OSError, TimeoutError) as error:
            pull.left = 0
            raise Unanswered("leases cannot be requested") from error

    async def granted(self) -> list[Grant]:
        """Waits for leases, the end of a request or `wake_up`; returns what came since the last call, all at once."""
        await self._something_came.wait()
        grants, self._grants = self._grants, []
        return grants

    def wake_up(self) -> None:
        """Makes `granted` return, even with nothing."""
        self._something_came.set()

    async def renew(self, grants: Sequence[Grant], within: float) -> None:
        """Restarts the time of these leases; returns when the server has confirmed it for all."""
        await self._stream.ask([Request(grant.ack, _IN_PROGRESS) for grant in grants], within)

    async def give_back(self, grants: Sequence[Grant], within: float) -> None:
        """Makes these leases free at once. Never raises: where the request is lost, they expire."""
        with contextlib.suppress(Unanswered):
            await self._stream.ask([Request(grant.ack, _NAK) for grant in grants], within)

    async def aclose(self) -> list[Grant]:
        """Ends all pull requests; returns the leases that came and were not returned by `granted`. Never raises."""
        pulls, self._pulls = self._pulls, []
        if self._stream.is_connected:
            await asyncio.gather(*(_drain(pull.subscription) for pull in pulls if pull.subscription is not None))
        grants, self._grants = self._grants, []
        return grants

    async def _drop_ended_pulls(self) -> None:
        """Drops requests that ended, by the server's status or long ago by our clock."""
        now = self._monotonic()
        ended = [pull for pull in self._pulls if pull.left == 0 or now >= pull.ends_at + _GRACE]
        self._pulls = [pull for pull in self._pulls if pull not in ended]
        for pull in ended:
            if pull.subscription is not None:
                with contextlib.suppress(NatsError, OSError):
                    await pull.subscription.unsubscribe()

    def _on_message(self, pull: _Pull, message: Msg) -> None:
        status = message.headers.get("Status") if message.headers else None
        if status is not None:
            pull.left = 0
            if status == _REQUEST_TIMEOUT:
                self._something_came.set()
        elif (number := self._numbers.get(message.subject)) is not None:
            pull.left = max(0, pull.left - 1)
            self._grants.append(Grant(number, message.reply, pull.sent_at))
            self._something_came.set()


async def _drain(subscription: Subscription) -> None:
    drain: Callable[[], Awaitable[None]] = subscription.drain
    with contextlib.suppress(NatsError, OSError, TimeoutError):
        async with asyncio.timeout(_DRAIN_WITHIN):
            await drain()
