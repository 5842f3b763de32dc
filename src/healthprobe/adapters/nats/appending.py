"""Appending events to the log on JetStream by compare-and-set."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import random

from healthprobe.adapters.nats.connection import Request, Unanswered
from healthprobe.adapters.nats.errors import Contention
from healthprobe.adapters.nats.fencing import Claim, ShardClaims
from healthprobe.adapters.nats.stored_events import Standing, find_earlier, standing_of
from healthprobe.adapters.nats.stream_leader import StreamLeader
from healthprobe.adapters.nats.streams import EXPECTED, LogStreams
from healthprobe.domain.event import AlteredEvent, HealthEvent, format_instant

_PLAIN = re.compile(r"[!-~]{1,128}")


def message_id(event: HealthEvent) -> str:
    """Returns an id that is unique for the event, and short and plain enough for a header."""
    identity = f"{event.id}@{format_instant(event.occurred_at)}"
    return identity if _PLAIN.fullmatch(identity) else sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()


_TRIES = 12
_LONGEST_PAUSE = 0.2
"""Attempts of an append when other messages come first, and the most seconds between two."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An event to be appended, and how it is published."""

    event: HealthEvent
    shard: int
    subject: str
    body: bytes


class Appender:
    """Appends by compare-and-set: under the claim of the shard where there is one, else under the game's last event.

    Under a claim there is one writer: what it read after its claim stays true until it writes itself. Where an answer
    is missing, its own message may still be in flight, so it claims anew before it reads. With `by_claims` nothing
    enters a shard that we have not claimed; without, shards that others have claimed are claimed when needed.
    """

    def __init__(self, leader: StreamLeader, streams: LogStreams, claims: ShardClaims, *, by_claims: bool) -> None:
        self._leader = leader
        self._streams = streams
        self._claims = claims
        self._by_claims = by_claims

    async def append(self, batch: Sequence[Pending]) -> list[HealthEvent | None]:
        """Returns for each in order its event if it is in the log, else the last event of its game.

        Raises Unanswered if that cannot be known now, or Refused.
        """
        entered: set[HealthEvent] = set()
        unanswered: Unanswered | None = None
        for number in range(_TRIES):
            await self._prepare({each.shard for each in batch})
            last = await standing_of(self._leader, self._streams, list({each.subject for each in batch}))
            fitting = list(self._fitting(batch, last))
            if fitting and unanswered is not None:
                raise unanswered
            try:
                if await self._enter(fitting, last, entered, with_ids=number == 0):
                    return await self._results(batch, last, entered)
            except Unanswered as error:
                unanswered = error
            else:
                await asyncio.sleep(min(0.002 * 2**number, _LONGEST_PAUSE) * random())
        raise Contention("others write the same games all the time")

    async def _prepare(self, shards: set[int]) -> None:
        await self._claims.resolve_doubts(shards)
        if not self._by_claims:
            await self._claims.claim_where_claimed(shards)

    def _fitting(self, batch: Sequence[Pending], last: Mapping[str, Standing]) -> Iterator[Pending]:
        """Yields those that follow the last event of their game, or one another."""
        sequences = {subject: stands.event.sequence for subject, stands in last.items()}
        for each in batch:
            follows = each.event.sequence == sequences.get(each.subject, 0) + 1
            if follows and not (self._by_claims and self._claims.held(each.shard) is None):
                sequences[each.subject] = each.event.sequence
                yield each

    async def _enter(
        self, fitting: Sequence[Pending], last: dict[str, Standing], entered: set[HealthEvent], *, with_ids: bool
    ) -> bool:
        """Publishes them and updates `last` and `entered`; returns whether all have entered.

        The message id is for the first attempt only: JetStream may remember one whose message was removed. The
        conditions suffice.
        """
        claims = {each.shard: claim for each in fitting if (claim := self._claims.held(each.shard)) is not None}
        rejected: set[str] = set()
        for run in _runs(fitting, claims):
            rejected.update(each.subject for each in run if not self._is_writable(each, claims))
            going = [each for each in run if each.subject not in rejected]
            requests = [self._request(each, claims.get(each.shard), last, with_id=with_ids) for each in going]
            for each, ack in zip(going, await self._leader.write(requests), strict=True):
                if ack.is_rejected:
                    rejected.add(each.subject)
                    continue
                last[each.subject] = Standing(ack.seq, each.event, ack.seq)
                entered.add(each.event)
                if (claim := claims.get(each.shard)) is not None:
                    claim.is_doubted = False
        return not rejected

    def _is_writable(self, each: Pending, claims: Mapping[int, Claim]) -> bool:
        """Whether the claim for an append is still ours and not in doubt."""
        claim = claims.get(each.shard)
        return claim is None or (self._claims.held(each.shard) is claim and not claim.is_doubted)

    def _request(self, each: Pending, claim: Claim | None, last: Mapping[str, Standing], *, with_id: bool) -> Request:
        headers = {"Nats-Msg-Id": message_id(each.event)} if with_id else {}
        if claim is None:
            stands = last.get(each.subject)
            headers[EXPECTED] = str(stands.cursor if stands else 0)
        else:
            headers |= self._claims.condition(each.shard, claim)
            claim.is_doubted = True
        return Request(each.subject, each.body, headers)

    async def _results(
        self, batch: Sequence[Pending], last: Mapping[str, Standing], entered: set[HealthEvent]
    ) -> list[HealthEvent | None]:
        present = entered | {stands.event for stands in last.values()}
        older = [
            (last[each.subject].cursor, each.subject, each.event.sequence)
            for each in batch
            if each.subject in last and each.event not in present and _may_be_behind(each.event, last[each.subject])
        ]
        present.update(await find_earlier(self._leader, self._streams, older))
        last_events = {subject: stands.event for subject, stands in last.items()}
        return [each.event if each.event in present else last_events.get(each.subject) for each in batch]


def _may_be_behind(event: HealthEvent, stands: Standing) -> bool:
    """Whether `event` may be in the log before the last message of its game."""
    last = stands.event
    return event.sequence < last.sequence or (isinstance(last, AlteredEvent) and event.sequence == last.sequence)


def _runs(batch: Sequence[Pending], claims: Mapping[int, Claim]) -> Iterator[Sequence[Pending]]:
    """Yields what is published together: no two of one game, and under claims no two of one shard."""
    yield from _in_order([each for each in batch if each.shard not in claims])
    yield from _side_by_side([each for each in batch if each.shard in claims])


def _in_order(batch: Sequence[Pending]) -> Iterator[Sequence[Pending]]:
    """Yields all in order, cut where a game comes again."""
    first, games = 0, set[str]()
    for number, each in enumerate(batch):
        if each.subject in games:
            yield batch[first:number]
            first, games = number, set()
        games.add(each.subject)
    if first < len(batch):
        yield batch[first:]


def _side_by_side(batch: Sequence[Pending]) -> Sequence[Sequence[Pending]]:
    """Returns the first of each shard, the second of each, and so on: a shard takes one message at a time."""
    rows: list[list[Pending]] = []
    depth: dict[int, int] = {}
    for each in batch:
        row = depth[each.shard] = depth.get(each.shard, -1) + 1
        if row == len(rows):
            rows.append([])
        rows[row].append(each)
    return rows
