"""Membership: the instances that share a fleet, as they announce themselves."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from healthprobe.adapters.nats.connection import JetStream, Refused, Request, Unanswered
from healthprobe.adapters.nats.errors import NO_STREAM, told_at_opening
from healthprobe.adapters.nats.streams import NANOSECONDS, ensure_stream, token_of
from healthprobe.domain.cluster import Instance
from healthprobe.domain.shard import fair_share

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


_BEATS_OF_SILENCE = 1.5
"""After how many beats without a word of ours the others may have been as silent."""


class Membership:
    """Tells what we are, and reads what the others tell. JetStream alone decides who is gone: it forgets them.

    Where we could not tell it anything for a while, perhaps nobody could, and all are forgotten: whoever was not heard
    to leave is then given the time to tell again, each of them once, for where JetStream is slow we are late at every
    beat, and who is dead must be gone all the same. All methods raise Unanswered and Refused.
    """

    def __init__(self, stream: JetStream, ourselves: Instance, *, shards: int, monotonic: Callable[[], float]) -> None:
        self._presence = Presence(stream, ourselves.instance)
        self._ourselves = ourselves
        self._shards = shards
        self._monotonic = monotonic
        self._present: dict[str, Instance] = {ourselves.instance: ourselves}
        self._told_at = math.inf
        self._believed_from = 0.0
        self._missed: dict[str, float] = {}

    async def prepare(self, beat: float) -> None:
        """Make what is needed for members that tell something every `beat` seconds."""
        await self._presence.prepare(beat)

    async def tell(self, ourselves: Instance, beat: float) -> None:
        """Tell that this is what we are now, and look who is there."""
        await self._tell(ourselves)
        present = {each.instance: each for each in await self._presence.read()}
        present[ourselves.instance] = self._ourselves
        now = self._monotonic()
        silence, longest = now - self._told_at, _BEATS_OF_SILENCE * beat
        if silence > longest:
            self._believed_from = now + BEATS_TO_LIVE * beat
        self._told_at = now
        if now < self._believed_from:
            self._miss(self._present.keys() - present.keys(), min(silence, longest))
            missed = (name for name, seconds in self._missed.items() if seconds < BEATS_TO_LIVE * beat)
            present |= {name: self._present[name] for name in missed if not self._presence.has_departed(name)}
        else:
            self._missed.clear()
            self._presence.forget_departures()
        self._present = present

    async def listen(self, tell: Callable[[], None]) -> None:
        """Call `tell` as soon as somebody comes or leaves."""
        await self._presence.listen(tell)

    async def leave(self) -> None:
        """Be gone."""
        await self._presence.leave()

    def _miss(self, names: Collection[str], seconds: float) -> None:
        """These are still not there, `seconds` later. A new one is missed from now on."""
        self._missed = {name: self._missed[name] + seconds if name in self._missed else 0.0 for name in names}

    @property
    def order(self) -> int:
        """Our place in the order of joining; 0 before we have joined."""
        return self._ourselves.order

    @property
    def others(self) -> Sequence[Instance]:
        """All that are there but ourselves."""
        return [each for each in self._present.values() if each.instance != self._ourselves.instance]

    @property
    def duties_are_anothers(self) -> bool:
        """Whether somebody has taken over, after us, the duties that we have told to have."""
        since = self._ourselves.duties_since
        return bool(since) and any(each.duties_since > since for each in self.others)

    @property
    def share(self) -> int:
        """How many shards are ours to have: those who are blind leave them to those who see, if anybody does."""
        in_order = sorted(self._present.values(), key=lambda each: (each.order, each.instance))
        names = [each.instance for each in in_order if not each.blind] or [each.instance for each in in_order]
        ours = self._ourselves.instance
        return fair_share(names.index(ours), len(names), self._shards) if ours in names else 0

    async def _tell(self, ourselves: Instance) -> None:
        """Whoever joins, or takes over the duties, does so at the place of the first document that it tells of it."""
        before = self._ourselves
        since = before.duties_since if ourselves.duties else 0
        ourselves = replace(ourselves, order=before.order, duties_since=since)
        self._ourselves = ourselves.placed(await self._presence.put(ourselves))
