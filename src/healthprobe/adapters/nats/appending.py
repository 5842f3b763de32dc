"""Appending to the log on JetStream: bodies, expectations, acknowledgements."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import random

import msgspec

from healthprobe.adapters.nats.connection import Request, Unanswered
from healthprobe.adapters.nats.errors import Outrun
from healthprobe.adapters.nats.fencing import Fence, Fences
from healthprobe.adapters.nats.stream_leader import Leader
from healthprobe.adapters.nats.streams import EXPECTED, LogStreams
from healthprobe.domain.event import HealthEvent, format_instant
from healthprobe.ports import LogEntry, LogError

_PLAIN = re.compile(r"[!-~]{1,128}")


def body_of(event: HealthEvent) -> bytes:
    """The event as JSON. Raises UnicodeEncodeError where a text in it is none: it has a lone surrogate."""
    return msgspec.json.encode(event.as_document())


def event_in(body: bytes, subject: str) -> HealthEvent:
    """The event that `body_of` wrote. Raises LogError where somebody altered it."""
    try:
        return HealthEvent.from_document(msgspec.json.decode(body))
    except (ValueError, RecursionError) as error:
        told = f"an event on {subject} was altered, or written by somebody else, and cannot be read"
        raise LogError(told, permanent=True) from error


def message_id(event: HealthEvent) -> str:
    """The same whenever this event is sent, another for any other, and short and plain enough for a header."""
    identity = f"{event.id}@{format_instant(event.occurred_at)}"
    return identity if _PLAIN.fullmatch(identity) else sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()


_ROUNDS = 12
_LONGEST_PAUSE = 0.2
"""How often an append that was outrun looks again at what stands, and after how many seconds at most."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An event that is offered to the log, and how it is sent."""

    event: HealthEvent
    shard: int
    subject: str
    body: bytes


class Appending:
    """Compare-and-set on a stream: a claimed shard is appended to behind its fence, any other game by game.

    Behind a fence one writer is left: what it read after its claim stays true until it writes itself. Where an answer
    is missing, its own message may be on its way still, so it claims anew before it reads. With `by_claims` nothing
    enters a shard that we have not claimed; without, what others have claimed is claimed as it is needed.
    """

    def __init__(self, leader: Leader, streams: LogStreams, fences: Fences, *, by_claims: bool) -> None:
        self._leader = leader
        self._streams = streams
        self._fences = fences
        self._by_claims = by_claims

    async def append(self, offers: Sequence[Offer]) -> list[HealthEvent | None]:
        """What stands, for each offer in order: its event where that has entered, else the last one of its game.

        Raises Unanswered where that cannot be known now, Refused, or LogError.
        """
        entered: set[HealthEvent] = set()
        unanswered: Unanswered | None = None
        for number in range(_ROUNDS):
            await self._prepare({offer.shard for offer in offers})
            last = await self._last({offer.subject for offer in offers})
            fitting = list(self._fitting(offers, last))
            if fitting and unanswered is not None:
                raise unanswered
            try:
                if await self._enter(fitting, last, entered, with_ids=number == 0):
                    return await self._standing(offers, last, entered)
            except Unanswered as error:
                unanswered = error
            else:
                await asyncio.sleep(min(0.002 * 2**number, _LONGEST_PAUSE) * random())
        raise Outrun("others write the same games all the time")

    async def _prepare(self, shards: set[int]) -> None:
        await self._fences.settle(shards)
        if not self._by_claims:
            await self._fences.claim_what_others_claimed(shards)

    async def _last(self, subjects: Iterable[str]) -> dict[str, LogEntry]:
        messages = await self._leader.last(list(subjects))
        return {
            message.subject: LogEntry(message.seq, event_in(message.data, message.subject))
            for message in messages
            if message is not None
        }

    def _fitting(self, offers: Sequence[Offer], last: Mapping[str, LogEntry]) -> Iterator[Offer]:
        """The offers that follow the last event of their game, or one another."""
        sequences = {subject: entry.event.sequence for subject, entry in last.items()}
        for offer in offers:
            follows = offer.event.sequence == sequences.get(offer.subject, 0) + 1
            if follows and not (self._by_claims and self._fences.of(offer.shard) is None):
                sequences[offer.subject] = offer.event.sequence
                yield offer

    async def _enter(
        self, fitting: Sequence[Offer], last: dict[str, LogEntry], entered: set[HealthEvent], *, with_ids: bool
    ) -> bool:
        """Send them, and keep `last` and `entered` true; whether all have entered.

        An id that JetStream remembers may be that of a message which was removed: what does not stand is sent again
        without one. The conditions are all that it takes.
        """
        fences = {offer.shard: fence for offer in fitting if (fence := self._fences.of(offer.shard)) is not None}
        outrun: set[str] = set()
        for run in _runs(fitting, fences):
            outrun.update(offer.subject for offer in run if not self._is_open(offer, fences))
            going = [offer for offer in run if offer.subject not in outrun]
            requests = [self._request(offer, fences.get(offer.shard), last, with_id=with_ids) for offer in going]
            for offer, receipt in zip(going, await self._leader.write(requests), strict=True):
                if receipt.is_outrun:
                    outrun.add(offer.subject)
                    continue
                last[offer.subject] = LogEntry(receipt.seq, offer.event)
                entered.add(offer.event)
                if (fence := fences.get(offer.shard)) is not None:
                    fence.is_doubted = False
        return not outrun

    def _is_open(self, offer: Offer, fences: Mapping[int, Fence]) -> bool:
        """Whether the fence that an offer was to pass is ours still, and sure."""
        fence = fences.get(offer.shard)
        return fence is None or (self._fences.of(offer.shard) is fence and not fence.is_doubted)

    def _request(self, offer: Offer, fence: Fence | None, last: Mapping[str, LogEntry], *, with_id: bool) -> Request:
        headers = {"Nats-Msg-Id": message_id(offer.event)} if with_id else {}
        if fence is None:
            entry = last.get(offer.subject)
            headers[EXPECTED] = str(entry.cursor if entry else 0)
        else:
            headers |= self._fences.condition(offer.shard, fence)
            fence.is_doubted = True
        return Request(offer.subject, offer.body, headers)

    async def _standing(
        self, offers: Sequence[Offer], last: Mapping[str, LogEntry], entered: set[HealthEvent]
    ) -> list[HealthEvent | None]:
        there = entered | {entry.event for entry in last.values()}
        older = [
            (last[offer.subject].cursor, offer.subject, offer.event.sequence)
            for offer in offers
            if offer.subject in last
            and offer.event not in there
            and offer.event.sequence < last[offer.subject].event.sequence
        ]
        there.update(await sought_in_the_past(self._leader, older))
        last_events = {subject: entry.event for subject, entry in last.items()}
        return [offer.event if offer.event in there else last_events.get(offer.subject) for offer in offers]


def _runs(offers: Sequence[Offer], fences: Mapping[int, Fence]) -> Iterator[Sequence[Offer]]:
    """What is sent together: no two of one game, and behind a fence no two of one shard."""
    yield from _in_order([offer for offer in offers if offer.shard not in fences])
    yield from _side_by_side([offer for offer in offers if offer.shard in fences])


def _in_order(offers: Sequence[Offer]) -> Iterator[Sequence[Offer]]:
    """All in their order, cut where a game comes again."""
    first, games = 0, set[str]()
    for number, offer in enumerate(offers):
        if offer.subject in games:
            yield offers[first:number]
            first, games = number, set()
        games.add(offer.subject)
    if first < len(offers):
        yield offers[first:]


def _side_by_side(offers: Sequence[Offer]) -> Sequence[Sequence[Offer]]:
    """The first of each shard, the second of each, and so on: of one shard, replicas take one message at a time."""
    rows: list[list[Offer]] = []
    depth: dict[int, int] = {}
    for offer in offers:
        row = depth[offer.shard] = depth.get(offer.shard, -1) + 1
        if row == len(rows):
            rows.append([])
        rows[row].append(offer)
    return rows


@dataclass(slots=True)
class _Search:
    """The event stands between these two places, both included, if it stands at all."""

    subject: str
    sequence: int
    lowest: int
    highest: int

    @property
    def middle(self) -> int:
        return (self.lowest + self.highest) // 2


async def sought_in_the_past(leader: Leader, sought: Sequence[tuple[int, str, int]]) -> list[HealthEvent]:
    """Those events that stand, of each (place of the game's last event, subject, sequence), which is an earlier one.

    Raises Unanswered, Refused or LogError.
    """
    found: list[HealthEvent] = []
    searches = [_Search(subject, sequence, 1, last - 1) for last, subject, sequence in sought]
    while searches := [search for search in searches if search.lowest <= search.highest]:
        messages = await leader.following([(search.middle, search.subject) for search in searches])
        for search, message in zip(searches, messages, strict=True):
            event = None if message is None else event_in(message.data, message.subject)
            if message is None or event is None or event.sequence > search.sequence:
                search.highest = search.middle - 1
            elif event.sequence < search.sequence:
                search.lowest = message.seq + 1
            else:
                found.append(event)
                search.lowest = search.highest + 1
    return found
