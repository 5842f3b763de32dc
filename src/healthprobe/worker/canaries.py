"""The canaries: what answers as long as this prober sees anything. Without one of them it does not believe its eyes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from healthprobe.domain.outcome import HEALTHY, Failed, Inconclusive, ProbeOutcome
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import Prober
from healthprobe.worker.config import Terms
from healthprobe.worker.target_set import WatchedGame

_REST = 0.1
"""The least time, in seconds, between two rounds: a thousand dead engines must not make a thousand rounds."""

_PORTION = 200
"""How many outcomes are settled between two turns of the loop."""

_BLIND = Inconclusive("the prober is blind: no canary answers")


@dataclass(frozen=True, slots=True)
class Doubt:
    """An outcome that waits for a canary's word. Times are monotonic seconds."""

    game: WatchedGame
    outcome: ProbeOutcome
    started: float
    due: float
    ended: float


class Canaries:
    """Probes the canaries with every tick, and after every failure of an engine before it counts.

    A failure counts if some canary answers in a round that began after it; if none does, this prober is blind, and the
    failure says nothing, nor does one whose probe began while it was. So an outage that begins or ends in the middle of
    a tick does no harm either. `settle` is given each outcome that waited, in the order in which they came; `on_sight`
    whether we see, when that has changed.
    """

    def __init__(
        self,
        terms: Terms,
        targets: Sequence[ProbeTarget],
        prober: Prober,
        *,
        settle: Callable[[Doubt], None],
        on_sight: Callable[[bool], None] | None,
    ) -> None:
        self._targets = targets
        self._prober = prober
        self._settle = settle
        self._on_sight = on_sight
        self._logger = terms.logger
        self._monotonic = terms.monotonic
        self._doubts: list[Doubt] = []
        self._sees_since = float("-inf")
        self._wanted = asyncio.Event()
        self.doubted: set[str] = set()
        """The games of which an outcome waits; the very same object always."""
        self.blind_since: float | None = None
        """Since when no canary answers, or None while one does."""

    @property
    def waiting(self) -> int:
        """How many outcomes wait."""
        return len(self._doubts)

    def wake(self) -> None:
        """A tick begins."""
        self._wanted.set()

    def takes(self, doubt: Doubt) -> bool:
        """Whether this outcome waits: a failure, and what follows one that waits, for the order matters."""
        if not self._targets or not (isinstance(doubt.outcome, Failed) or doubt.game.game_id in self.doubted):
            return False
        self._doubts.append(doubt)
        self.doubted.add(doubt.game.game_id)
        self._wanted.set()
        return True

    async def run(self) -> None:
        """Hold rounds as they are wanted, until cancelled."""
        while self._targets:
            await self._wanted.wait()
            self._wanted.clear()
            began = self._monotonic()
            await self.hold_round()
            await asyncio.sleep(max(began + _REST - self._monotonic(), 0.0))

    async def settle_all(self) -> None:
        """Hold rounds until nothing waits."""
        if self._targets:
            await self.hold_round()
            while self._doubts:
                await self.hold_round()

    async def hold_round(self) -> None:
        """Ask every canary, and let what was doubted before be settled by that."""
        doubts, self._doubts = self._doubts, []
        answers = await asyncio.gather(*map(self._ask, self._targets))
        is_blind = HEALTHY not in answers
        self._tell(answers, is_blind=is_blind)
        for number, doubt in enumerate(doubts, 1):
            if isinstance(doubt.outcome, Failed) and (is_blind or doubt.started < self._sees_since):
                self._settle(replace(doubt, outcome=_BLIND))
            else:
                self._settle(doubt)
            if not number % _PORTION:
                await asyncio.sleep(0)
        self.doubted.clear()
        self.doubted.update(doubt.game.game_id for doubt in self._doubts)

    async def _ask(self, canary: ProbeTarget) -> ProbeOutcome:
        try:
            return await self._prober.probe(canary)
        except Exception as error:  # noqa: BLE001  a prober that breaks sees nothing
            return Inconclusive(f"{type(error).__name__}: {error}")

    def _tell(self, answers: Sequence[ProbeOutcome], *, is_blind: bool) -> None:
        if is_blind == (self.blind_since is not None):
            return
        if is_blind:
            self.blind_since = self._monotonic()
            cause = answers[0]
            told = cause.last_error if isinstance(cause, Failed) else getattr(cause, "cause", "")
            self._logger.error("the prober is blind: no canary answers, failures count for nothing", err=told)
        else:
            self.blind_since = None
            self._sees_since = self._monotonic()
            self._logger.info("the prober sees again")
        if self._on_sight is not None:
            self._on_sight(not is_blind)
