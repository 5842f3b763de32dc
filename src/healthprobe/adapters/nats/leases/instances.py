"""The instances: who is there, what each of them tells at every beat, and when JetStream calls it gone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from healthprobe.adapters.nats.jetstream import JetStream, Refused, Request, Unanswered
from healthprobe.adapters.nats.layout import NANOSECONDS, ensure_stream
from healthprobe.adapters.nats.refusals import NO_STREAM, told_at_opening
from healthprobe.adapters.nats.token import token_of
from healthprobe.domain.instance import Instance

BEATS_TO_LIVE = 3
"""An instance that has told nothing for so many beats is gone."""

_HEARD_WITHIN = 3
"""Seconds within which a server hears the others of a stream, once a second, as long as they are there."""


class _Message(msgspec.Struct):
    seq: int
    data: bytes = b""


class _Answer(msgspec.Struct):
    message: _Message | None = None


_answers = msgspec.json.Decoder(_Answer)
_documents = msgspec.json.Decoder(Instance)


class Presence:
    """The stream in which every instance keeps its document while it renews it. Raises Unanswered and Refused.

    `is_kept` tells whether most of its servers were there at the last `read`: else nothing new can be told, and what is
    old is forgotten, whoever is there.
    """

    def __init__(self, stream: JetStream, instance: str) -> None:
        prefix = stream.address.prefix
        self._stream = stream
        self._name = f"{prefix}_instances"
        self._all = f"{prefix}.instances.*"
        self._ours = self._subject(instance)
        self._there: Collection[str] = ()
        self._departed: set[str] = set()
        self.is_kept = True
        self._hearing: Subscription | None = None

    async def prepare(self, beat: float) -> None:
        """Make the stream, for instances that tell something every `beat` seconds."""
        age = round(BEATS_TO_LIVE * beat * NANOSECONDS)
        await ensure_stream(
            self._stream,
            {
                "name": self._name,
                "subjects": [self._all],
                "storage": "memory",
                "max_msgs_per_subject": 1,
                "max_age": age,
                "duplicate_window": age,
            },
        )

    async def put(self, document: Instance) -> int:
        """Tell `document` in the place of what we told before; its place in the order of all that was told."""
        (answer,) = await self._stream.ask([Request(self._ours, msgspec.json.encode(document))])
        told = msgspec.json.decode(answer)
        if (error := told.get("error")) is not None:
            raise Refused(error["err_code"], error["description"])
        place: int = told["seq"]
        return place

    async def read(self) -> list[Instance]:
        """Those that are there, in the order in which they joined."""
        told = await self._stream.call(f"STREAM.INFO.{self._name}", {"subjects_filter": self._all})
        subjects: dict[str, int] = told["state"].get("subjects") or {}
        self._there = subjects.keys()
        self.is_kept = _is_kept(told.get("cluster") or {})
        api = f"$JS.API.STREAM.MSG.GET.{self._name}"
        requests = [Request(api, msgspec.json.encode({"last_by_subj": subject})) for subject in subjects]
        return _in_order(await self._stream.ask(requests))

    async def leave(self) -> None:
        """Be gone, at once: an empty document is none, and is heard."""
        if self._hearing is not None:
            with contextlib.suppress(NatsError, OSError):
                await self._hearing.unsubscribe()
        await self._stream.ask([Request(self._ours)])
        await self._stream.call(f"STREAM.PURGE.{self._name}", {"filter": self._ours})

    async def listen(self, tell: Callable[[], None]) -> None:
        """Call `tell` as soon as somebody comes or leaves of its own will. It is a call to read, and may get lost."""

        async def hear(message: Msg) -> None:
            if message.data:
                self._departed.discard(message.subject)
            else:
                self._departed.add(message.subject)
            if message.subject != self._ours and not (message.data and message.subject in self._there):
                tell()

        self._hearing = await self._stream.client.subscribe(self._all, cb=hear)

    def has_departed(self, instance: str) -> bool:
        """Whether it was heard to leave, since `forget_departures`."""
        return self._subject(instance) in self._departed

    def forget_departures(self) -> None:
        self._departed.clear()

    def _subject(self, instance: str) -> str:
        return f"{self._stream.address.prefix}.instances.{token_of(instance)}"


async def instances(stream: JetStream) -> list[Instance]:
    """The instances that are there, in the order in which they joined; we are none of them.

    Raises ConfigurationError or LogError.
    """
    with told_at_opening(stream):
        presence = Presence(stream, "")
        try:
            found = await presence.read()
        except Refused as refusal:
            if refusal.code == NO_STREAM:
                return []
            raise
        if not found and not presence.is_kept:
            raise Unanswered("most of its servers are away, and without them no instance can tell that it is there")
        return found


def _is_kept(cluster: Mapping[str, Any]) -> bool:
    """Whether who tells this leads the stream, and hears most of those who keep it."""
    replicas = cluster.get("replicas") or ()
    silent = sum(1 for each in replicas if each.get("offline") or each["active"] > _HEARD_WITHIN * NANOSECONDS)
    return not replicas or ("leader" in cluster and 2 * silent <= len(replicas))


def _in_order(answers: Sequence[bytes]) -> list[Instance]:
    """What is told in `answers`. Whoever has just joined tells no order: the place of its document is its order.

    The same goes for whoever has just taken over the duties.
    """
    found = []
    for answer in answers:
        message = _answers.decode(answer).message
        if message is None:
            continue
        try:
            document = _documents.decode(message.data)
        except msgspec.DecodeError:
            continue
        found.append(document.placed(message.seq))
    return sorted(found, key=lambda each: (each.order, each.instance))
