"""The lessor: a queue at JetStream that gives leases. A lease is a message that was pulled and not acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from healthprobe.adapters.nats.connection import ANSWER_WITHIN, JetStream, Refused, Request, Unanswered
from healthprobe.adapters.nats.errors import OUTRUN
from healthprobe.adapters.nats.streams import EXPECTED, NANOSECONDS, ensure_consumer, ensure_stream

_RENEWAL = b"+WPI"
_RETURN = b"-NAK"
_TIME_IS_UP = "408"

_DRAIN_WITHIN = 0.5
_GRACE = 0.5
"""Seconds in which the server's word that a request has ended must come after the end."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Lease `number` of the queue was given to us, by a message that is renewed and given back at the subject `ack`.

    It was asked for at `asked_at`, monotonic seconds: the server cannot count from an earlier moment.
    """

    number: int
    ack: str
    asked_at: float


@dataclass(frozen=True, slots=True)
class QueueState:
    """How long a lease lasts, in seconds, and why a missing one could not be put back, if one could not."""

    lasts: float
    error: Refused | None


@dataclass(slots=True)
class _Pull:
    """A request for `left` more leases. It has a subscription of its own: nothing else tells whose answer comes."""

    sent_at: float
    ends_at: float
    left: int
    subscription: Subscription | None = field(default=None)


class Lessor:
    """The leases `names` of the queue `queue`, numbered in their order. All times are seconds.

    What asks JetStream raises Unanswered, unless it says otherwise, and Refused where it says so.
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
        self._news = asyncio.Event()

    async def prepare(self, lasts: float) -> float | None:
        """Make the queue whose leases last `lasts`, with all of them; how long they lasted before, if not as long.

        Raises Refused.
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
        standing = await ensure_consumer(
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
        before: float | None = None if standing is None else standing["ack_wait"] / NANOSECONDS
        return None if before == round(lasts * NANOSECONDS) / NANOSECONDS else before

    async def inspect(self, within: float = ANSWER_WITHIN) -> QueueState:
        """Put those back that are missing, and return the state of the queue. Raises Refused."""
        info = await self._stream.call(f"CONSUMER.INFO.{self._leases}.{self._queue}", within=within)
        error = None
        if info["num_pending"] + info["num_ack_pending"] < len(self._subjects):
            requests = [Request(subject, headers={EXPECTED: "0"}) for subject in self._subjects]
            for answer in await self._stream.ask(requests, within):
                refusal = msgspec.json.decode(answer).get("error")
                if refusal is not None and refusal["err_code"] not in OUTRUN:
                    error = Refused(refusal["err_code"], refusal["description"])
        return QueueState(info["config"]["ack_wait"] / NANOSECONDS, error)

    @property
    def outstanding(self) -> int:
        """How many were asked for and may still be given for that."""
        now = self._monotonic()
        return sum(pull.left for pull in self._pulls if now < pull.ends_at + _GRACE)

    async def ask_for(self, count: int, patience: float) -> None:
        """Ask for `count` leases: those that are free now, and those that fall free within `patience`.

        Without a connection nothing is begun: nats-py would keep each subscription for the next server, and make it
        there, though it was ended long before.
        """
        await self._forget_ended()
        if not self._stream.is_connected:
            raise Unanswered("there is no connection")
        now = self._monotonic()
        pull = _Pull(now, now + patience, count)
        self._pulls.append(pull)
        client = self._stream.client

        async def on_message(message: Msg) -> None:
            self._on_message(pull, message)

        body = msgspec.json.encode({"batch": count, "expires": round(patience * NANOSECONDS)})
        try:
            async with asyncio.timeout(patience):
                inbox = client.new_inbox()
                pull.subscription = await client.subscribe(inbox, cb=on_message)
                await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{self._leases}.{self._queue}", body, reply=inbox)
        except (NatsError, OSError, TimeoutError) as error:
            pull.left = 0
            raise Unanswered("it cannot be asked for leases") from error

    async def granted(self) -> list[Grant]:
        """Wait until leases were given, a request for them has ended, or `rouse`; those given since the last call.

        They come together where they were given together.
        """
        await self._news.wait()
        self._news.clear()
        grants, self._grants = self._grants, []
        return grants

    def rouse(self) -> None:
        """Let `granted` return, also with nothing."""
        self._news.set()

    async def renew(self, grants: Sequence[Grant], within: float) -> None:
        """Let these last anew, from now on; returns when that is confirmed, for all."""
        await self._stream.ask([Request(grant.ack, _RENEWAL) for grant in grants], within)

    async def give_back(self, grants: Sequence[Grant], within: float) -> None:
        """Give these back: whoever asks has them at once. Never raises: what does not arrive there will lapse."""
        with contextlib.suppress(Unanswered):
            await self._stream.ask([Request(grant.ack, _RETURN) for grant in grants], within)

    async def aclose(self) -> list[Grant]:
        """Ask for nothing any more; what was given and not been taken from `granted`, to the last. Raises nothing."""
        pulls, self._pulls = self._pulls, []
        if self._stream.is_connected:
            await asyncio.gather(*(self._drain(pull) for pull in pulls))
        grants, self._grants = self._grants, []
        return grants

    async def _drain(self, pull: _Pull) -> None:
        if pull.subscription is not None:
            drain: Callable[[], Awaitable[None]] = pull.subscription.drain
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                async with asyncio.timeout(_DRAIN_WITHIN):
                    await drain()

    async def _forget_ended(self) -> None:
        """Requests that ended, by the server's word or long ago by our clock: what comes for those is too late."""
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
            if status == _TIME_IS_UP:
                self._news.set()
        elif (number := self._numbers.get(message.subject)) is not None:
            pull.left = max(0, pull.left - 1)
            self._grants.append(Grant(number, message.reply, pull.sent_at))
            self._news.set()
