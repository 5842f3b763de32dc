"""Claims of shards with fencing tokens: a claim shuts out what others send under earlier claims, however late."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

import msgspec

from healthprobe.adapters.nats.connection import Request, Unanswered
from healthprobe.adapters.nats.errors import Contention
from healthprobe.adapters.nats.stream_leader import StreamLeader
from healthprobe.adapters.nats.streams import EXPECTED, LogStreams

_EXPECTED_ON = "Nats-Expected-Last-Subject-Sequence-Subject"

_PAUSES = (0.0, 0.005, 0.02, 0.1, 0.3, 0.6)
"""Seconds before each attempt to claim a shard for which another message is in flight."""


class FencedLog(Protocol):
    """A log that takes the events of a shard only under the fencing token of its last claim."""

    @property
    def shard_count(self) -> int:
        """The number of shards that all games are spread over."""
        ...

    async def claim(self, shards: Collection[int]) -> Collection[int]:
        """Claims shards, and returns those that only we can write from now on. Raises LogError."""
        ...

    def disclaim(self, shards: Collection[int]) -> None:
        """Writes no more events of these shards."""
        ...

    def fencing_token(self, shard: int) -> int | None:
        """The token of our claim to a shard, which grows with every claim of any instance; None without a claim."""
        ...

    @property
    def superseded(self) -> frozenset[int]:
        """The shards that we claimed and that, as an append has shown, another instance claimed after us."""
        ...


@dataclass(slots=True)
class Claim:
    """Our claim of a shard. The fencing token is the sequence of its message: appends expect that it is the last claim.

    `is_doubted` is whether an append of ours may still be in flight, which only a new claim shuts out. `is_lost` is
    whether the shard is not ours yet, or another instance has claimed it after us.
    """

    token: int = 0
    is_doubted: bool = False
    is_lost: bool = True


@dataclass(frozen=True, slots=True)
class _LastClaim:
    """The last claim of a shard by any instance; `token` is 0 if there is none."""

    token: int
    body: bytes


class ShardClaims:
    """The claims of one log. Async methods raise Unanswered or Refused.

    A claim is a message on a subject of its shard, and replaces the one before under the condition that this is still
    the last. An append carries the condition that our claim is.
    """

    def __init__(self, leader: StreamLeader, streams: LogStreams) -> None:
        self._leader = leader
        self._streams = streams
        self._body = msgspec.json.encode({"claimant": uuid4().hex})
        self._claims: dict[int, Claim] = {}

    def held(self, shard: int) -> Claim | None:
        """Returns the claim under which we append to `shard`, or None where it is not ours."""
        claim = self._claims.get(shard)
        return None if claim is None or claim.is_lost else claim

    def token(self, shard: int) -> int | None:
        """Returns the fencing token of our last claim of `shard`, lost or not; None without one."""
        claim = self._claims.get(shard)
        return None if claim is None or not claim.token else claim.token

    @property
    def superseded(self) -> frozenset[int]:
        """The shards that were ours until an append showed that another instance claimed them after us."""
        return frozenset(shard for shard, claim in self._claims.items() if claim.is_lost and claim.token)

    def condition(self, shard: int, claim: Claim) -> dict[str, str]:
        """Returns the headers of an append to `shard` under `claim`."""
        return {EXPECTED: str(claim.token), _EXPECTED_ON: self._streams.of_claim(shard)}

    def disclaim(self, shards: Iterable[int]) -> None:
        """Forgets the claims of these, also where one is under way."""
        for shard in shards:
            self._claims.pop(shard, None)

    async def claim(self, shards: Iterable[int]) -> frozenset[int]:
        """Claims shards and returns those that are ours now: not those that another claims at the same time."""
        claimed: set[int] = set()
        wanted = set(shards)
        for pause in _PAUSES if wanted else ():
            await asyncio.sleep(pause)
            taken, wanted = await self._try(await self._last_claims(wanted))
            claimed |= taken
            if not wanted:
                break
        return frozenset(claimed)

    async def claim_where_claimed(self, shards: Collection[int]) -> None:
        """Claims those of `shards` that others have ever claimed: an append there needs a claim."""
        for pause in _PAUSES:
            others = {shard for shard in shards if self.held(shard) is None}
            claimed = {shard for shard, last in (await self._last_claims(others)).items() if last.token}
            if not claimed - await self.claim(claimed):
                return
            await asyncio.sleep(pause)
        raise Contention("others claim the same shards all the time")

    async def resolve_doubts(self, shards: Collection[int]) -> None:
        """Claims those of ours anew that are in doubt, or finds that another instance has claimed them after us."""
        for pause in _PAUSES:
            doubted = {shard: claim for shard in shards if (claim := self.held(shard)) is not None and claim.is_doubted}
            if not doubted:
                return
            await asyncio.sleep(pause)
            last = await self._last_claims(doubted)
            for shard, claim in doubted.items():
                claim.is_lost = last[shard].body != self._body
            await self._try({shard: last[shard] for shard, claim in doubted.items() if self.held(shard) is claim})
        raise Unanswered("earlier messages are still in flight")

    async def _try(self, last: Mapping[int, _LastClaim]) -> tuple[set[int], set[int]]:
        """Claims shards after their last claims; returns those that are ours now, and those that are worth a retry."""
        taken, unsure = set(), set()
        claims = {shard: self._claims.setdefault(shard, Claim()) for shard in last}
        for claim in claims.values():
            claim.is_doubted = True
        requests = [
            Request(self._streams.of_claim(shard), self._body, {"Nats-Rollup": "sub", EXPECTED: str(before.token)})
            for shard, before in last.items()
        ]
        for (shard, claim), ack in zip(claims.items(), await self._leader.write(requests), strict=True):
            if not ack.is_rejected:
                claim.token, claim.is_doubted, claim.is_lost = ack.seq, False, False
                taken.add(shard)
            elif ack.is_in_flight:
                unsure.add(shard)
        return taken, unsure

    async def _last_claims(self, shards: Collection[int]) -> dict[int, _LastClaim]:
        messages = await self._leader.last([self._streams.of_claim(shard) for shard in shards])
        return {
            shard: _LastClaim(0, b"") if message is None else _LastClaim(message.seq, message.data)
            for shard, message in zip(shards, messages, strict=True)
        }
