"""The claims: which shards the log lets us write, and whether somebody has claimed them after us."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any, Protocol

from healthprobe.domain.cluster import Instance
from healthprobe.ports import LogError


class ClaimedLog(Protocol):
    """A log that takes the events of a shard from whoever claimed it last, and from nobody else."""

    @property
    def shard_count(self) -> int:
        """Over how many shards all games are spread."""
        ...

    async def claim(self, shards: Collection[int]) -> Collection[int]:
        """Those of `shards` that are ours alone to write from now on. Raises LogError."""
        ...

    def disclaim(self, shards: Collection[int]) -> None:
        """We write nothing more for these."""
        ...

    def epoch_of(self, shard: int) -> int | None:
        """A number that grows with every claim to `shard`, whosever it is: that of ours, or None without one."""
        ...

    @property
    def outclaimed(self) -> frozenset[int]:
        """The shards that we claimed, of which it has shown that somebody else claimed them after us."""
        ...


class Claims:
    """Claims at `log`. A log that does not answer is told of once, until it does."""

    def __init__(self, log: ClaimedLog, logger: Any) -> None:
        self._log = log
        self._logger = logger
        self._told = ""

    async def claim(self, shards: Collection[int], within: float) -> Collection[int]:
        """Those of `shards` that the log lets us write from now on; none if it does not say so within so many seconds.

        Where its leader has died, what we have asked is lost: we ask the next one sooner than an answer is given up.
        """
        try:
            async with asyncio.timeout(within):
                claimed = await self._log.claim(shards)
        except (LogError, TimeoutError) as error:
            self._log.disclaim(shards)
            self._tell(str(error) or f"the log has not answered for {within:g}s", len(shards))
            return ()
        self._told = ""
        return claimed

    def disclaim(self, shards: Collection[int]) -> None:
        """We write nothing more for these."""
        self._log.disclaim(shards)

    def epochs(self, shards: Iterable[int]) -> tuple[int, ...]:
        """The epochs of our claims to these, in their order; 0 where there is none."""
        return tuple(self._log.epoch_of(shard) or 0 for shard in shards)

    def superseded(self, others: Iterable[Instance]) -> frozenset[int]:
        """The shards that we claimed and one of these others claimed later."""
        return frozenset(
            shard
            for other in others
            for shard, epoch in zip(other.shards, other.epochs, strict=False)
            if epoch > (self._log.epoch_of(shard) or epoch)
        )

    @property
    def outclaimed(self) -> frozenset[int]:
        """The shards that we cannot write for somebody else's claim, whether they hold them or not.

        Whoever stood still in the middle of a claim sends it when it wakes, though its lease is ours by then.
        """
        return self._log.outclaimed

    def _tell(self, why: str, shards: int) -> None:
        if why != self._told:
            self._told = why
            self._logger.warning("shards cannot be claimed", shards=shards, err=why)
