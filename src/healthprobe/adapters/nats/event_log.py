"""The log of health events on JetStream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import NAMESPACE_URL, uuid5

from healthprobe._util.text import shorten
from healthprobe.adapters.nats.appending import Appender, Pending
from healthprobe.adapters.nats.bucket_watch import Changes
from healthprobe.adapters.nats.connection import ANSWER_WITHIN, JetStream, Request, Unanswered
from healthprobe.adapters.nats.documents import JetStreamDocuments
from healthprobe.adapters.nats.errors import as_log_errors, errors_at_opening
from healthprobe.adapters.nats.fencing import ShardClaims
from healthprobe.adapters.nats.relay_state import JetStreamRelayState
from healthprobe.adapters.nats.stored_events import (
    decode_event,
    encode_event,
    events_in,
    is_doubtful,
    standing_of,
)
from healthprobe.adapters.nats.stream_leader import CONDITION, EVERYTHING, Ack, Message, StreamLeader, next_at
from healthprobe.adapters.nats.streams import LogStreams, created_at, prepare
from healthprobe.domain.event import AlteredEvent, EventType, HealthEvent
from healthprobe.domain.shard import shard_of
from healthprobe.ports import ContentError, LogEntry

_PAUSES = (0.0, 0.05, 0.2, 0.5)
"""Seconds before each attempt to read from a server that has the newest known message: a former leader soon yields."""

_PAGE = 1_000


class MonotonicLeader(StreamLeader):
    """A leader with monotonic reads: none is older than an earlier read or write.

    Each batch of reads also asks for the newest message that we know of, first and last. Without it the answers come
    from a former leader and do not count.
    """

    def __init__(self, stream: JetStream, name: str) -> None:
        super().__init__(stream, name)
        self._known = 0

    async def write(self, requests: Sequence[Request]) -> list[Ack]:
        acks = await super().write(requests)
        self._known = max(self._known, *(ack.seq for ack in acks), 0)
        return acks

    async def _ask_portion(self, queries: Sequence[Mapping[str, Any]]) -> list[Message | None]:
        known = self._known
        messages = await self._ask_with_proof(known, queries) if known else await super()._ask_portion(queries)
        self._known = max(self._known, *(message.seq for message in messages if message is not None), 0)
        return messages

    async def _ask_with_proof(self, known: int, queries: Sequence[Mapping[str, Any]]) -> list[Message | None]:
        proof = next_at(known, EVERYTHING)
        messages: list[Message | None] = []
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            before, *messages, after = await super()._ask_portion([proof, *queries, proof])
            if before is not None and after is not None:
                return messages
            state = (await self._stream.call(f"STREAM.INFO.{self._name}"))["state"]
            if state["last_seq"] < known:
                raise Unanswered("it is older than what we have read; if it was created anew, restart healthprobe")
        self._known = 0  # the current leader agrees: the end of the stream was removed
        return messages


_GREATEST = 2**63 - 1
_AT_ONCE = 100
"""Events that are encoded between two turns of the event loop."""

_PRUNED_AT_ONCE = 1_000
"""Entries that `prune` reads together."""

_HEADERS = 4_096
"""More bytes than the headers of our messages have."""


class JetStreamLog(JetStreamRelayState, JetStreamDocuments):
    """Health events, relay cursors, dead letters and documents on JetStream. Made by `open`.

    Every method raises LogError. All reads go to the leaders of the streams. With `by_claims` it appends only to shards
    that it has claimed, and others cannot append to those any more; without, instances may share it as they share a
    database.
    """

    def __init__(self, stream: JetStream, streams: LogStreams, *, by_claims: bool) -> None:
        JetStreamRelayState.__init__(self, stream, streams)
        JetStreamDocuments.__init__(self, stream, streams)
        self._leader = MonotonicLeader(stream, streams.events)
        self._open_incidents = OpenIncidents(stream, self._leader, streams)
        self._claims = ShardClaims(self._leader, streams)
        self._appender = Appender(self._leader, streams, self._claims, by_claims=by_claims)
        self._one_at_a_time = asyncio.Lock()

    @classmethod
    async def open(cls, stream: JetStream, *, create: bool = True, by_claims: bool = False) -> Self:
        """Opens the log at the prefix of `stream`, and creates its streams at the first use.

        With `create` false they must exist: for commands that only read. Raises ConfigurationError for streams that are
        not a log's or not as the URL asks for, LogError where they are unavailable.
        """
        with errors_at_opening(stream):
            streams = await prepare(stream, create=create)
        return cls(stream, streams, by_claims=by_claims)

    async def identity(self) -> str:
        """Returns a UUID of this log, made of its prefix and of the instant at which its stream was created.

        The servers keep both, and two instances that ask for the first time together get the same.
        """
        with as_log_errors(self._stream):
            created = await created_at(self._stream, self._streams.events)
        return str(uuid5(NAMESPACE_URL, f"{self._streams.prefix}@{created.isoformat()}"))

    async def claim(self, shards: Collection[int]) -> Collection[int]:
        """Claims shards and returns those that are ours: what others send under earlier claims is refused from now on.

        One that is not returned was claimed by another instance at the same moment: claim it again if we still have its
        lease. What is read after this is as new as the claim.
        """
        async with self._one_at_a_time:
            with as_log_errors(self._stream):
                return await self._claims.claim(shards)

    def disclaim(self, shards: Collection[int]) -> None:
        """Appends nothing to these shards until they are claimed again."""
        self._claims.disclaim(shards)

    @property
    def shard_count(self) -> int:
        """The number of shards that all games are spread over."""
        return self._streams.shards

    def fencing_token(self, shard: int) -> int | None:
        """Returns the token of our last claim of `shard`, or None. Tokens grow with every claim of any instance."""
        return self._claims.token(shard)

    @property
    def superseded(self) -> frozenset[int]:
        """The shards that we claimed and that, as an append has shown, another instance claimed after us."""
        return self._claims.superseded

    async def last_events(self, game_ids: Iterable[str]) -> Mapping[str, HealthEvent]:
        """Returns the last event of each of these games; games without events are left out.

        Where the last message of a game cannot be read, it is an AlteredEvent with what the last one says that can.
        """
        subjects = {game_id: self._streams.of_game(game_id) for game_id in game_ids}
        with as_log_errors(self._stream):
            standing = await standing_of(self._leader, self._streams, list(subjects.values()))
        return {game_id: standing[subject].event for game_id, subject in subjects.items() if subject in standing}

    async def open_incidents(self) -> Mapping[str, HealthEvent]:
        """Returns the last event of each game whose last event is a `probe_failed`, by game.

        The first call reads the last event of every game; later ones read only what is new.
        """
        with as_log_errors(self._stream):
            return await self._open_incidents.current()

    async def append(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent | None]:
        """Appends by compare-and-set (see `ports.HealthEventLog`): what has entered is stored when this returns.

        Without claims a batch enters in order; in claimed shards, the events of each game do.
        """
        if not events:
            return []
        with as_log_errors(self._stream):
            batch = [each async for each in self._encoded(events)]
            async with self._one_at_a_time:
                return await self._appender.append(batch)

    async def read(self, after: int, limit: int) -> Sequence[LogEntry]:
        """Returns at most `limit` entries whose cursor is greater than `after`, in order."""
        with as_log_errors(self._stream):
            return await self._entries(await self._messages(after, limit))

    async def end(self) -> int:
        """Returns the cursor of the last entry, or 0."""
        with as_log_errors(self._stream):
            newest = await self._leader.newest(self._streams.all_events)
        return 0 if newest is None else newest.seq

    async def prune(self, before: datetime, through: int) -> int:
        """Removes events seen before `before` whose cursor is at most `through`, except the last of each game.

        Returns how many there were. It stops at a page without old events: an old event after newer ones is removed
        once those are old.
        """
        pruned = after = 0
        with as_log_errors(self._stream):
            while after < through and (page := await self._messages(after, _PRUNED_AT_ONCE)):
                after = page[-1].seq
                entries = await self._entries(page)
                old = {each.cursor for each in entries if each.cursor <= through and each.event.occurred_at < before}
                if not old:
                    break
                readable = {each.cursor for each in entries if not isinstance(each.event, AlteredEvent)}
                pruned += await self._leader.delete(await self._followed(page, old, readable))
        return pruned

    async def _messages(self, after: int, limit: int) -> list[Message]:
        """Returns at most `limit` messages of events whose sequence is greater than `after`, in order."""
        messages: list[Message] = []
        while (wanted := limit - len(messages)) > 0:
            page = await self._leader.read(after, wanted)
            messages += [message for message in page if self._streams.is_event(message.subject)]
            if len(page) < wanted:
                break
            after = page[-1].seq
        return messages

    async def _encoded(self, events: Sequence[HealthEvent]) -> AsyncIterator[Pending]:
        largest = self._stream.client.max_payload - _HEADERS
        for number, event in enumerate(events, 1):
            body = encode_event(event)
            if event.sequence > _GREATEST:
                problem = f"the event {shorten(event.id, 80)!r} has too great a sequence to be read by other programs"
                raise ContentError(f"{self._stream.address.name}: {problem}")
            if len(body) > largest:
                problem = f"the event {shorten(event.id, 80)!r} is larger than the server allows: raise its max_payload"
                raise ContentError(f"{self._stream.address.name}: {problem}")
            yield Pending(event, shard_of(event.game_id, self.shard_count), self._streams.of_game(event.game_id), body)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _followed(self, page: Sequence[Message], old: Container[int], readable: Container[int]) -> list[int]:
        """Returns the sequences of those of the `old` messages of a page that their game does not need any more.

        It needs its last message, and the one that has its last event: usually the same.
        """
        newest = {message.subject: message.seq for message in page if message.seq in readable}
        candidates = [message for message in page if message.seq in old]
        doubtful = [each for each in candidates if each.seq not in readable or newest[each.subject] == each.seq]
        subjects = list({message.subject for message in doubtful})
        standing = await standing_of(self._leader, self._streams, subjects)
        needed = {seq for stands in standing.values() for seq in (stands.cursor, stands.kept)}
        return [message.seq for message in candidates if message.seq not in needed]

    async def _entries(self, messages: Sequence[Message]) -> list[LogEntry]:
        events = await events_in(self._leader, self._streams, messages)
        return [LogEntry(message.seq, event) for message, event in zip(messages, events, strict=True)]


@dataclass(frozen=True, slots=True)
class _Events:
    stream: JetStream
    stream_name: str


class OpenIncidents:
    """The last event of each game whose last event is a `probe_failed`. Raises Unanswered or Refused.

    The first `current` reads the last message of every game, later ones read only what is new in the log.
    """

    def __init__(self, stream: JetStream, leader: StreamLeader, streams: LogStreams) -> None:
        self._events = _Events(stream, streams.events)
        self._leader = leader
        self._streams = streams
        self._through = 0
        self._open: dict[str, HealthEvent] = {}
        self._one_at_a_time = asyncio.Lock()

    async def current(self) -> Mapping[str, HealthEvent]:
        """Returns the open incidents by game."""
        async with self._one_at_a_time:
            newest = await self._leader.newest(self._streams.all_events)
            end = 0 if newest is None else newest.seq
            if end < self._through:  # somebody emptied the log
                self._through = 0
            if self._through == 0:
                self._open.clear()
                await self._read_all()
            async for page in self._pages():
                await self._apply(page)
                self._through = page[-1].seq
            return {event.game_id: event for event in self._open.values() if event.game_id}

    async def _read_all(self) -> None:
        """Reads the last message of each game from a replica, which may be behind the leader.

        It has all up to the last message that it gave: what came after that is read from the leader.
        """
        changes = await Changes.open(self._events, ANSWER_WITHIN, self._streams.all_events)
        try:
            while changes.pending > 0:
                batch = await changes.next()
                await self._apply(
                    Message(
                        changes.revision,
                        self._streams.of_key(change.key),
                        change.value,
                        CONDITION if change.had_condition else b"",
                    )
                    for change in batch
                    if change.value is not None
                )
        finally:
            await changes.aclose()
        self._through = changes.revision

    async def _pages(self) -> AsyncIterator[Sequence[Message]]:
        while page := await self._leader.read(self._through, _PAGE):
            yield page

    async def _apply(self, page: Iterable[Message]) -> None:
        """Applies messages in the order of the log; what one of another program stands for is asked of its game."""
        unclear: set[str] = set()
        for message in page:
            if self._streams.is_event(message.subject):
                event = decode_event(message, self._streams)
                if is_doubtful(message, event):
                    unclear.add(message.subject)
                else:
                    self._set(message.subject, event)
        await self._look_at(list(unclear))

    async def _look_at(self, subjects: Sequence[str]) -> None:
        for subject, stands in (await standing_of(self._leader, self._streams, subjects)).items():
            self._set(subject, stands.event)

    def _set(self, subject: str, event: HealthEvent) -> None:
        if event.event_type is EventType.PROBE_FAILED:
            self._open[subject] = event
        else:
            self._open.pop(subject, None)
