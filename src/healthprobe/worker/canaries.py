"""The canaries: targets that answer as long as this prober can see anything."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from healthprobe._util.safe_logging import SafeLogger
from healthprobe.domain.outcome import HEALTHY, Failed, Inconclusive, ProbeOutcome
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import Prober, ShardLeases
from healthprobe.worker.config import Clock


class Canaries:
    """Probes all canaries together, and knows since when none of them answers: then the prober is blind.

    It calls `shards.set_sight` when that changes. `wanted` is set when a round is due.
    """

    def __init__(
        self,
        targets: Sequence[ProbeTarget],
        prober: Prober,
        clock: Clock,
        logger: SafeLogger,
        shards: ShardLeases | None,
    ) -> None:
        self._targets = targets
        self._prober = prober
        self._monotonic = clock.monotonic
        self._logger = logger
        self._shards = shards
        self.wanted = asyncio.Event()
        self.blind_since: float | None = None
        """Since when no canary answers, in monotonic seconds; None while one does."""
        self.sees_since = float("-inf")
        """When a canary first answered again after the prober was blind."""

    def __len__(self) -> int:
        return len(self._targets)

    async def probe(self) -> None:
        """Probes every canary once."""
        outcomes = await asyncio.gather(*map(self._probe, self._targets))
        is_blind = HEALTHY not in outcomes
        if is_blind == (self.blind_since is not None):
            return
        if is_blind:
            self.blind_since = self._monotonic()
            cause = outcomes[0].last_error if isinstance(outcomes[0], Failed) else getattr(outcomes[0], "cause", "")
            self._logger.error("the prober is blind: no canary answers, failures do not count", err=cause)
        else:
            self.blind_since = None
            self.sees_since = self._monotonic()
            self._logger.info("the prober sees again")
        if self._shards is not None:
            self._shards.set_sight(sees=not is_blind)

    async def _probe(self, canary: ProbeTarget) -> ProbeOutcome:
        try:
            return await self._prober.probe(canary)
        except Exception as error:  # noqa: BLE001  a prober that breaks sees nothing
            return Inconclusive(f"{type(error).__name__}: {error}")
