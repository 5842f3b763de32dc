"""The log of health events on JetStream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from healthprobe._util.text import shorten
from healthprobe.adapters.nats.appending import Appending, Offer, body_of, event_in
from healthprobe.adapters.nats.connection import JetStream, Request, Unanswered
from healthprobe.adapters.nats.errors import as_log_errors, errors_at_opening
from healthprobe.adapters.nats.fencing import Fences
from healthprobe.adapters.nats.relay_state import JetStreamRelayState
from healthprobe.adapters.nats.stream_leader import EVERYTHING, Leader, Message, Receipt, next_at
from healthprobe.adapters.nats.streams import LogStreams, prepare
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.shard import shard_of
from healthprobe.ports import LogEntry, LogError

_PAUSES = (0.0, 0.05, 0.2, 0.5)
"""Seconds before each try to have an answer from where the newest known message is: a former leader soon gives up."""


class UpToDateLeader(Leader):
    """Tells nothing that is older than what it has told, or taken, before.

    Before and after all else it is asked for the newest place that we know of. What comes from a server on which that
    is missing does not count.
    """

    def __init__(self, stream: JetStream, name: str) -> None:
        super().__init__(stream, name)
        self._known = 0

    async def write(self, requests: Sequence[Request]) -> list[Receipt]:
        """As of any leader; what was taken is known."""
        receipts = await super().write(requests)
        self._known = max(self._known, *(receipt.seq for receipt in receipts), 0)
        return receipts

    async def _ask_portion(self, questions: Sequence[Mapping[str, Any]]) -> list[Message | None]:
        known = self._known
        messages = await self._ask_behind(known, questions) if known else await super()._ask_portion(questions)
        self._known = max(self._known, *(message.seq for message in messages if message is not None), 0)
        return messages

    async def _ask_behind(self, known: int, questions: Sequence[Mapping[str, Any]]) -> list[Message | None]:
        proof = next_at(known, EVERYTHING)
        messages: list[Message | None] = []
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            before, *messages, after = await super()._ask_portion([proof, *questions, proof])
            if before is not None and after is not None:
                return messages
            state = (await self._stream.call(f"STREAM.INFO.{self._name}"))["state"]
            if state["last_seq"] < known:
                raise Unanswered("what it tells is older than what we know; if it was made anew, restart healthprobe")
        self._known = 0  # all who answer agree: somebody has removed the end of the stream
        return messages


_AT_ONCE = 100
"""The most events that are written as JSON between two turns of the loop."""

_PRUNED_AT_ONCE = 1_000
"""The most entries that are looked at together by `prune`."""

_HEADERS = 4_096
"""More bytes than the headers of any message of ours have."""


class JetStreamLog(JetStreamRelayState):
    """Health events, relay cursors and dead letters on JetStream. Made by `open`. Every method raises LogError.

    All is read from the leaders of the streams. With `by_claims` it takes events of those shards alone that it has
    claimed, and others cannot write to those any more; without, instances may share it as they share a database.
    """

    def __init__(self, stream: JetStream, streams: LogStreams, *, by_claims: bool) -> None:
        super().__init__(stream, streams)
        self._leader = UpToDateLeader(stream, streams.events)
        self._fences = Fences(self._leader, streams)
        self._appending = Appending(self._leader, streams, self._fences, by_claims=by_claims)
        self._one_at_a_time = asyncio.Lock()

    @classmethod
    async def open(cls, stream: JetStream, *, create: bool = True, by_claims: bool = False) -> Self:
        """Open the log at the prefix of `stream`, making its streams at its first use.

        With `create` false they must exist already: for commands that only read. Raises ConfigurationError for streams
        that are not a log's or cannot be had as the URL asks for, LogError where they are away for now.
        """
        with errors_at_opening(stream):
            streams = await prepare(stream, create=create)
        return cls(stream, streams, by_claims=by_claims)

    async def claim(self, shards: Collection[int]) -> Collection[int]:
        """Claim these shards: what anybody sends under an earlier claim stays out from now on, however late it comes.

        Returns those that are ours. Another one was claimed by somebody else at the same moment: ask again, if it is
        still ours to claim. What is read after this is as new as the claim.
        """
        async with self._one_at_a_time:
            with as_log_errors(self._stream):
                return await self._fences.claim(shards)

    def disclaim(self, shards: Collection[int]) -> None:
        """Take nothing more for these shards until they are claimed again."""
        self._fences.disclaim(shards)

    @property
    def shard_count(self) -> int:
        """Over how many shards all games are spread."""
        return self._streams.shards

    def fencing_token(self, shard: int) -> int | None:
        """A number that grows with every claim to `shard`, whosever it is: that of our last one, or None without."""
        return self._fences.fencing_token(shard)

    @property
    def superseded(self) -> frozenset[int]:
        """The shards that we claimed, of which an append has shown that somebody else claimed them after us."""
        return self._fences.superseded

    async def last_events(self, game_ids: Iterable[str]) -> Mapping[str, HealthEvent]:
        """The last event of each of these games; games without events are left out."""
        wanted = list(dict.fromkeys(game_ids))
        with as_log_errors(self._stream):
            messages = await self._leader.last([self._streams.of_game(game_id) for game_id in wanted])
        return {
            game_id: event_in(message.data, message.subject)
            for game_id, message in zip(wanted, messages, strict=True)
            if message is not None
        }

    async def append(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent | None]:
        """Compare-and-set (see `ports.HealthEventLog`): what has entered is stored when this returns.

        Without claims a batch enters in its order. Of claimed shards, those of one game do.
        """
        if not events:
            return []
        with as_log_errors(self._stream):
            offers = [offer async for offer in self._offers(events)]
            async with self._one_at_a_time:
                return await self._appending.append(offers)

    async def read(self, after: int, limit: int) -> Sequence[LogEntry]:
        """At most `limit` entries whose cursor is greater than `after`, in the order of the stream."""
        entries: list[LogEntry] = []
        with as_log_errors(self._stream):
            while (wanted := limit - len(entries)) > 0:
                page = await self._leader.read(after, wanted)
                entries += [_entry(message) for message in page if self._is_event(message)]
                if len(page) < wanted:
                    break
                after = page[-1].seq
        return entries

    async def end(self) -> int:
        """The cursor of the last entry, or 0 where there is none."""
        with as_log_errors(self._stream):
            newest = await self._leader.newest(self._streams.all_events)
        return 0 if newest is None else newest.seq

    async def prune(self, before: datetime, through: int) -> int:
        """Remove events seen before `before` whose cursor is at most `through`, and never a game's last one.

        Returns how many there were. It ends where nothing is old any more: what entered late, behind newer ones, is
        removed once these are old.
        """
        pruned = after = 0
        while after < through and (page := await self.read(after, _PRUNED_AT_ONCE)):
            after = page[-1].cursor
            old = [entry for entry in page if entry.event.occurred_at < before and entry.cursor <= through]
            if not old:
                break
            with as_log_errors(self._stream):
                pruned += await self._leader.delete(await self._followed(old, page))
        return pruned

    async def _offers(self, events: Sequence[HealthEvent]) -> AsyncIterator[Offer]:
        largest = self._stream.client.max_payload - _HEADERS
        for number, event in enumerate(events, 1):
            body = body_of(event)
            if len(body) > largest:
                told = f"the event {shorten(event.id, 80)!r} is larger than its server takes: raise max_payload there"
                raise LogError(f"{self._stream.address.name}: {told}", permanent=True)
            yield Offer(event, shard_of(event.game_id, self.shard_count), self._streams.of_game(event.game_id), body)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _followed(self, entries: Sequence[LogEntry], page: Sequence[LogEntry]) -> list[int]:
        """The cursors of those of `entries` that a later event of their game follows, in `page` or elsewhere."""
        newest = {entry.event.game_id: entry.cursor for entry in page}
        doubtful = [each.event.game_id for each in entries if newest[each.event.game_id] == each.cursor]
        last = await self._leader.last([self._streams.of_game(game_id) for game_id in doubtful])
        newest.update((game_id, message.seq) for game_id, message in zip(doubtful, last, strict=True) if message)
        return [entry.cursor for entry in entries if newest[entry.event.game_id] > entry.cursor]

    def _is_event(self, message: Message) -> bool:
        return self._streams.is_event(message.subject)


def _entry(message: Message) -> LogEntry:
    return LogEntry(message.seq, event_in(message.data, message.subject))
