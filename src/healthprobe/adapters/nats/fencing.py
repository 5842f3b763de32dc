"""The fences: which shards we have claimed. Whoever claims one later shuts all earlier claimants out, for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from uuid import uuid4

import msgspec

from healthprobe.adapters.nats.connection import Request, Unanswered
from healthprobe.adapters.nats.errors import Outrun
from healthprobe.adapters.nats.stream_leader import Leader
from healthprobe.adapters.nats.streams import EXPECTED, LogStreams

_EXPECTED_ON = "Nats-Expected-Last-Subject-Sequence-Subject"

_PAUSES = (0.0, 0.005, 0.02, 0.1, 0.3, 0.6)
"""Seconds before each try to claim a shard for which somebody has a message under way."""


@dataclass(slots=True)
class Fence:
    """Our claim to a shard is the message at `epoch`: what we append expects that no other was made since.

    `is_doubted` tells that an append of ours may still be on its way: only a new claim shuts it out. `is_lost` tells
    that the shard is not ours yet, or that somebody else has claimed it after us.
    """

    epoch: int = 0
    is_doubted: bool = False
    is_lost: bool = True

    def stand(self, epoch: int) -> None:
        """Our claim was taken."""
        self.epoch, self.is_doubted, self.is_lost = epoch, False, False


@dataclass(frozen=True, slots=True)
class _Epoch:
    """The last claim to a shard, whosever it is; `at` is 0 where there was none."""

    at: int
    body: bytes


class Fences:
    """The claims of one log. Every method that waits raises Unanswered or Refused.

    A claim expects the one before it, and an append expects the claim that it was made under: of messages with such
    expectations, a stream takes one at a time. So once a claim was taken, what was appended under earlier ones stands,
    or never will.
    """

    def __init__(self, leader: Leader, streams: LogStreams) -> None:
        self._leader = leader
        self._streams = streams
        self._ourselves = msgspec.json.encode({"claimant": uuid4().hex})
        self._fences: dict[int, Fence] = {}

    def of(self, shard: int) -> Fence | None:
        """The fence behind which we append to `shard`, or None where it is not ours."""
        fence = self._fences.get(shard)
        return None if fence is None or fence.is_lost else fence

    def fencing_token(self, shard: int) -> int | None:
        """The epoch of our last claim to `shard`, lost or not; None without one."""
        fence = self._fences.get(shard)
        return None if fence is None or not fence.epoch else fence.epoch

    @property
    def superseded(self) -> frozenset[int]:
        """The shards that were ours, until an append has shown that somebody else claimed them after us."""
        return frozenset(shard for shard, fence in self._fences.items() if fence.is_lost and fence.epoch)

    def condition(self, shard: int, fence: Fence) -> dict[str, str]:
        """The headers of an append to `shard` behind `fence`."""
        return {EXPECTED: str(fence.epoch), _EXPECTED_ON: self._streams.of_epoch(shard)}

    def disclaim(self, shards: Iterable[int]) -> None:
        """We append nothing more to these, also where a claim to them is under way."""
        for shard in shards:
            self._fences.pop(shard, None)

    async def claim(self, shards: Iterable[int]) -> frozenset[int]:
        """Claim these; those that are ours now. Where somebody else claims one at the same time, it is not."""
        claimed: set[int] = set()
        wanted = set(shards)
        for pause in _PAUSES if wanted else ():
            await asyncio.sleep(pause)
            taken, wanted = await self._try(await self._epochs(wanted))
            claimed |= taken
            if not wanted:
                break
        return frozenset(claimed)

    async def claim_what_others_claimed(self, shards: Collection[int]) -> None:
        """Claim those of `shards` that are not ours and have ever been claimed: there, no other condition would do."""
        for pause in _PAUSES:
            others = {shard for shard in shards if self.of(shard) is None}
            claimed = {shard for shard, epoch in (await self._epochs(others)).items() if epoch.at}
            if not claimed - await self.claim(claimed):
                return
            await asyncio.sleep(pause)
        raise Outrun("others claim the same shards all the time")

    async def settle(self, shards: Collection[int]) -> None:
        """Claim those of ours anew that are in doubt, or learn that somebody else has claimed them after us."""
        for pause in _PAUSES:
            doubted = {shard: fence for shard in shards if (fence := self.of(shard)) is not None and fence.is_doubted}
            if not doubted:
                return
            await asyncio.sleep(pause)
            epochs = await self._epochs(doubted)
            for shard, fence in doubted.items():
                fence.is_lost = epochs[shard].body != self._ourselves
            await self._try({shard: epochs[shard] for shard, fence in doubted.items() if self.of(shard) is fence})
        raise Unanswered("what was sent before is still on its way")

    async def _try(self, epochs: Mapping[int, _Epoch]) -> tuple[set[int], set[int]]:
        """Claim these shards after the claims that stand; those that are ours now, and those that are worth a retry."""
        taken, unsure = set(), set()
        fences = {shard: self._fences.setdefault(shard, Fence()) for shard in epochs}
        for fence in fences.values():
            fence.is_doubted = True
        receipts = await self._leader.write([self._request(shard, epoch.at) for shard, epoch in epochs.items()])
        for (shard, fence), receipt in zip(fences.items(), receipts, strict=True):
            if not receipt.is_outrun:
                fence.stand(receipt.seq)
                taken.add(shard)
            elif receipt.is_in_process:
                unsure.add(shard)
        return taken, unsure

    async def _epochs(self, shards: Collection[int]) -> dict[int, _Epoch]:
        messages = await self._leader.last([self._streams.of_epoch(shard) for shard in shards])
        return {
            shard: _Epoch(0, b"") if message is None else _Epoch(message.seq, message.data)
            for shard, message in zip(shards, messages, strict=True)
        }

    def _request(self, shard: int, after: int) -> Request:
        headers = {"Nats-Rollup": "sub", EXPECTED: str(after)}
        return Request(self._streams.of_epoch(shard), self._ourselves, headers)
