"""Membership: the instances that share a fleet and the shards each of them held, as their documents in a stream say."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from healthprobe.adapters.nats.connection import JetStream, Refused, Request, Unanswered, decode_response
from healthprobe.adapters.nats.errors import NO_STREAM, errors_at_opening
from healthprobe.adapters.nats.streams import NANOSECONDS, ensure_stream, token_of
from healthprobe.domain.cluster import Cause, Instance, Takeover
from healthprobe.domain.shard import fair_share

BEATS_TO_LIVE = 3
"""An instance that has published nothing for so many heartbeats is gone."""

_PEER_ACTIVE_WITHIN = 3
"""Seconds within which the leader of a stream hears each replica that is up: they report once a second."""

_BEATS_OF_SILENCE = 1.5
"""After so many heartbeats without our own document, those of the others may have been as silent."""

_FROM_BEST_TO_WORST: tuple[Cause, ...] = ("start", "handed over", "expired")


class _Message(msgspec.Struct):
    seq: int
    data: bytes = b""


class _Answer(msgspec.Struct):
    message: _Message | None = None


_answers = msgspec.json.Decoder(_Answer)
_documents = msgspec.json.Decoder(Instance)


class InstanceStream:
    """The stream that keeps the document of each instance while it is published anew. Raises Unanswered and Refused.

    `has_quorum` is whether most replicas were up at the last `read`: without them nothing can be published, and
    documents expire although their instances are alive.
    """

    def __init__(self, stream: JetStream, instance: str) -> None:
        prefix = stream.address.prefix
        self._stream = stream
        self._name = f"{prefix}_instances"
        self._all = f"{prefix}.instances.*"
        self._ours = self._subject(instance)
        self._present: Collection[str] = ()
        self._departed: set[str] = set()
        self.has_quorum = True
        self._subscription: Subscription | None = None

    async def prepare(self, beat: float) -> None:
        """Creates the stream, for instances that publish every `beat` seconds."""
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
        """Publishes our document in the place of the one before; returns its sequence."""
        (answer,) = await self._stream.ask([Request(self._ours, msgspec.json.encode(document))])
        sequence: int = decode_response(answer)["seq"]
        return sequence

    async def read(self) -> list[Instance]:
        """Returns the instances that are present, in the order in which they joined."""
        info = await self._stream.call(f"STREAM.INFO.{self._name}", {"subjects_filter": self._all})
        subjects: dict[str, int] = info["state"].get("subjects") or {}
        self._present = subjects.keys()
        self.has_quorum = _has_quorum(info.get("cluster") or {})
        api = f"$JS.API.STREAM.MSG.GET.{self._name}"
        requests = [Request(api, msgspec.json.encode({"last_by_subj": subject})) for subject in subjects]
        return _in_order(await self._stream.ask(requests))

    async def leave(self) -> None:
        """Removes our document at once: an empty one is published before, which the others hear."""
        if self._subscription is not None:
            with contextlib.suppress(NatsError, OSError):
                await self._subscription.unsubscribe()
        await self._stream.ask([Request(self._ours)])
        await self._stream.call(f"STREAM.PURGE.{self._name}", {"filter": self._ours})

    async def listen(self, notify: Callable[[], None]) -> None:
        """Calls `notify` as soon as another instance joins or leaves. Messages may be lost: `read` is what counts."""

        async def on_document(message: Msg) -> None:
            if message.data:
                self._departed.discard(message.subject)
            else:
                self._departed.add(message.subject)
            if message.subject != self._ours and not (message.data and message.subject in self._present):
                notify()

        self._subscription = await self._stream.client.subscribe(self._all, cb=on_document)

    def has_departed(self, instance: str) -> bool:
        """Whether an instance has left, as was heard since `forget_departures`."""
        return self._subject(instance) in self._departed

    def forget_departures(self) -> None:
        self._departed.clear()

    def _subject(self, instance: str) -> str:
        return f"{self._stream.address.prefix}.instances.{token_of(instance)}"


async def instances(stream: JetStream) -> list[Instance]:
    """Returns the instances that are present, in the order in which they joined, for an observer.

    Raises ConfigurationError or LogError.
    """
    with errors_at_opening(stream):
        presence = InstanceStream(stream, "")
        try:
            found = await presence.read()
        except Refused as refusal:
            if refusal.code == NO_STREAM:
                return []
            raise
        if not found and not presence.has_quorum:
            raise Unanswered("most of its servers are away, and without them no instance can publish that it is there")
        return found


def _has_quorum(cluster: Mapping[str, Any]) -> bool:
    """Whether the server that answered leads the stream and hears most of its replicas."""
    replicas = cluster.get("replicas") or ()
    silent = sum(1 for each in replicas if each.get("offline") or each["active"] > _PEER_ACTIVE_WITHIN * NANOSECONDS)
    return not replicas or ("leader" in cluster and 2 * silent <= len(replicas))


def _in_order(answers: Sequence[bytes]) -> list[Instance]:
    """Returns the documents in order. One that does not know its order yet, or since when it has its duties, has just
    joined or taken them over: the sequence of its message says it.
    """
    found = []
    for answer in answers:
        message = _answers.decode(answer).message
        if message is None:
            continue
        try:
            document = _documents.decode(message.data)
        except (ValueError, RecursionError):  # it is no JSON, or not UTF-8, or of another shape
            continue
        found.append(document.placed(message.seq))
    return sorted(found, key=lambda each: (each.order, each.instance))


class Membership:
    """Which instances are members, and what share of the shards is ours. JetStream decides: it expires documents.

    Where our own document could not be published for a while, perhaps none could, and all have expired. Then an
    instance that was not heard to leave remains a member for the time it has to publish again. Each is given that time
    once: where JetStream is slow, we are late at every heartbeat, and a dead instance must be gone all the same.
    """

    def __init__(
        self, presence: InstanceStream, ourselves: Instance, *, shards: int, monotonic: Callable[[], float]
    ) -> None:
        self._presence = presence
        self._ourselves = ourselves
        self._shards = shards
        self._monotonic = monotonic
        self._members: dict[str, Instance] = {ourselves.instance: ourselves}
        self._published_at = math.inf
        self._believed_from = 0.0
        self._missing_for: dict[str, float] = {}

    async def update(self, ourselves: Instance, beat: float) -> None:
        """Publishes our document and reads those of the others. Raises Unanswered and Refused."""
        await self._publish(ourselves)
        members = {each.instance: each for each in await self._presence.read()}
        members[ourselves.instance] = self._ourselves
        now = self._monotonic()
        silence, longest = now - self._published_at, _BEATS_OF_SILENCE * beat
        if silence > longest:
            self._believed_from = now + BEATS_TO_LIVE * beat
        self._published_at = now
        if now < self._believed_from:
            missing, passed = self._members.keys() - members.keys(), min(silence, longest)
            before = self._missing_for
            self._missing_for = {name: before[name] + passed if name in before else 0.0 for name in missing}
            kept = (name for name, seconds in self._missing_for.items() if seconds < BEATS_TO_LIVE * beat)
            members |= {name: self._members[name] for name in kept if not self._presence.has_departed(name)}
        else:
            self._missing_for.clear()
            self._presence.forget_departures()
        self._members = members

    @property
    def order(self) -> int:
        """Our place in the order of joining; 0 before we have joined."""
        return self._ourselves.order

    @property
    def others(self) -> Sequence[Instance]:
        """All members except this instance."""
        return [each for each in self._members.values() if each.instance != self._ourselves.instance]

    @property
    def duties_are_anothers(self) -> bool:
        """Whether another instance took over the duties after we published that we have them."""
        since = self._ourselves.duties_since
        return bool(since) and any(each.duties_since > since for each in self.others)

    @property
    def share(self) -> int:
        """How many shards are ours to hold: blind instances leave theirs to those that see, if any does."""
        in_order = sorted(self._members.values(), key=lambda each: (each.order, each.instance))
        names = [each.instance for each in in_order if not each.blind] or [each.instance for each in in_order]
        ours = self._ourselves.instance
        return fair_share(names.index(ours), len(names), self._shards) if ours in names else 0

    async def _publish(self, ourselves: Instance) -> None:
        """The sequence of the first document with which an instance joins, or has the duties, is its order."""
        before = self._ourselves
        since = before.duties_since if ourselves.duties else 0
        ourselves = replace(ourselves, order=before.order, duties_since=since)
        self._ourselves = ourselves.placed(await self._presence.put(ourselves))


class RuleCheck:
    """Warns once of each instance that was started with other options than `rule`, ours.

    Otherwise the verdict of a game would depend on which instance has its shard.
    """

    def __init__(self, rule: str, logger: Any) -> None:
        self._rule = rule
        self._logger = logger
        self._differing: set[tuple[str, str]] = set()

    def check(self, others: Iterable[Instance]) -> None:
        """Compares the members' rules. A member without one is of an older version."""
        differing = {(each.instance, each.rule) for each in others if each.rule not in {"", self._rule}}
        for instance, rule in sorted(differing - self._differing):
            self._logger.warning(
                "another instance was started with other options", other=instance, theirs=rule, ours=self._rule
            )
        self._differing = differing


class OwnershipHistory:
    """Remembers the last known holder of each shard, and when it was last known, in monotonic seconds.

    An instance that gives a shard back was known to hold it a moment ago; one whose lease expires was silent meanwhile.
    """

    def __init__(self, ourselves: str, *, monotonic: Callable[[], float], now: Callable[[], datetime]) -> None:
        self.last: Takeover | None = None
        self._ourselves = ourselves
        self._monotonic = monotonic
        self._now = now
        self._last_at = 0.0
        self._holders: dict[int, tuple[float, str]] = {}
        self._documents: Mapping[str, Instance] = {}

    def update(self, others: Iterable[Instance]) -> None:
        """Takes over the last documents of the others: what has changed in one is as of now."""
        now, documents = self._monotonic(), {each.instance: each for each in others}
        for name, document in documents.items():
            if document != self._documents.get(name):
                self._holders.update(dict.fromkeys(document.shards, (now, name)))
        self._documents = documents

    def lost(self, shards: Iterable[int], at: float) -> None:
        """Records that this instance held these until then."""
        self._holders.update(dict.fromkeys(shards, (at, self._ourselves)))

    def holders_of(self, shards: Iterable[int]) -> list[str]:
        """Returns the last known holders of these."""
        return sorted({self._holders[shard][1] for shard in shards if shard in self._holders})

    def took(self, shards: Collection[int], beat: float) -> Cause:
        """Records that this instance holds these now; returns how they came.

        What comes for one cause within a heartbeat is one takeover.
        """
        now = self._monotonic()
        cause = max((self._cause(shard, now, beat) for shard in shards), key=_FROM_BEST_TO_WORST.index)
        for shard in shards:
            self._holders.pop(shard, None)
        if self.last is not None and self.last.cause == cause and now < self._last_at + beat:
            self.last = replace(self.last, shards=self.last.shards + len(shards))
        else:
            self.last, self._last_at = Takeover(self._now(), len(shards), cause), now
        return cause

    def _cause(self, shard: int, now: float, beat: float) -> Cause:
        if shard not in self._holders:
            return "start"
        return "handed over" if now < self._holders[shard][0] + BEATS_TO_LIVE * beat else "expired"
