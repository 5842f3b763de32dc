"""The event writer: takes transitions to the log, in batches, off the probe path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterator
from itertools import islice
from random import random

from healthprobe._util.aio import CALL_TIMEOUT, COLLABORATOR_ERRORS, cooperative_iter, error_text, raise_if_cancelled
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.hysteresis import Transition
from healthprobe.domain.schedule import backoff
from healthprobe.domain.shard import SHARDS, shard_of
from healthprobe.ports import HealthEventLog, LogError, ShardLeases, Telemetry
from healthprobe.worker.game_states import Ledger
from healthprobe.worker.safe_logging import SafeLogger

_PORTION = 50
"""The most transitions that are taken over between two turns of the loop: each has its log line."""


class Appender:
    """Appends, and lets the ledger settle on what the log says. `on_commit` is called after the log took events.

    `monotonic` tells seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        log: HealthEventLog,
        telemetry: Telemetry,
        logger: SafeLogger,
        *,
        on_commit: Callable[[], None] | None,
        monotonic: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._log = log
        self._telemetry = telemetry
        self._logger = logger
        self._on_commit = on_commit
        self._monotonic = monotonic

    async def append(self, batch: list[Transition], *, doubtful: bool) -> dict[str, LogError]:
        """Append `batch`; where the log will never take it, each alone, so that one does not keep the others out.

        Where it is `doubtful` what an earlier try has written, the log is read first. Returns, by game, what was
        refused and why. Raises what is worth a retry.
        """
        refused: dict[str, LogError] = {}
        try:
            await self._append(batch, doubtful=doubtful)
        except LogError as refusal:
            if not refusal.permanent:
                raise
            for transition in batch:
                try:
                    await self._append([transition], doubtful=doubtful)
                except LogError as error:
                    if not error.permanent:
                        raise
                    refused[transition.game_id] = error
        return refused

    async def _append(self, batch: list[Transition], *, doubtful: bool) -> None:
        if doubtful:
            batch = await self._not_there_yet(batch)
        began = self._monotonic()
        standing = await self._log.append([transition.event for transition in batch])
        self._telemetry.record_append(len(batch), self._monotonic() - began)
        async for transition, stands in cooperative_iter(zip(batch, standing, strict=True), _PORTION):
            self._take(transition, stands)
        if self._on_commit is not None:
            self._tell_of_the_commit(self._on_commit)

    async def _not_there_yet(self, batch: list[Transition]) -> list[Transition]:
        """Those that an earlier try has not written after all: where a log loses every acknowledgement, it is read."""
        last_events = await self._log.last_events([transition.game_id for transition in batch])
        missing = []
        for transition in batch:
            stands = last_events.get(transition.game_id)
            if (0 if stands is None else stands.sequence) == transition.follows:
                missing.append(transition)
            else:
                self._take(transition, stands)
        return missing

    def _take(self, transition: Transition, stands: HealthEvent | None) -> None:
        """What stands in the log is the game's state, whoever wrote it.

        Where its shard went and came back meanwhile, the log is asked again, for others may have written since.
        """
        if transition.game_id not in self._ledger.unread:
            self._ledger.settle(transition.game_id, stands)
        keys = keys_of(transition)
        if stands == transition.event:
            self._telemetry.record_health_event(transition.details.event_type)
            self._logger.info("probe event published", **keys)
        else:
            self._logger.info("probe event left to the log", **keys, stands=None if stands is None else stands.id)

    def _tell_of_the_commit(self, on_commit: Callable[[], None]) -> None:
        try:
            on_commit()
        except Exception as error:  # noqa: BLE001  it was only told: the events are in the log
            self._logger.warning("on_commit failed", err=error_text(error))


def keys_of(transition: Transition) -> dict[str, str]:
    """The reference's log keys."""
    return {
        "game_id": transition.game_id,
        "container_id": transition.container_id,
        "event_type": transition.details.event_type.value,
    }


BATCH = 1_000
"""The most transitions in one append: when all engines fail at once, each commit costs about as much as many."""

_QUESTION = 1_000
"""The most games that the log is asked about at once, for the same reason: 100,000 may appear together."""

_LONGEST_WAIT = 5.0
"""The longest pause, in seconds, between two tries while the log is away."""


class Committer:
    """State follows the log's acknowledgement and never precedes it.

    While the log is away its transitions wait, unchanged and in order; probing does not notice. Everything is safe to
    repeat: an event whose acknowledgement was lost is recognised, and one that another instance wrote first is adopted.
    `away_since` is when the log was first missed, in monotonic seconds, or None while it is there.
    """

    def __init__(
        self,
        ledger: Ledger,
        log: HealthEventLog,
        appender: Appender,
        logger: SafeLogger,
        *,
        monotonic: Callable[[], float],
        shards: ShardLeases | None = None,
    ) -> None:
        self._ledger = ledger
        self._log = log
        self._appender = appender
        self._logger = logger
        self._monotonic = monotonic
        self._shards = shards
        self._shard_count = SHARDS if shards is None else shards.shard_count
        self._leaving: frozenset[int] = frozenset()
        self._wanted = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self.away_since: float | None = None
        self._answered_at = float("-inf")
        self._has_answered = False
        self._offering: asyncio.Task[bool] | None = None

    def wake(self) -> None:
        """There is something to take to the log, or to read from it."""
        self._wanted.set()

    async def run(self) -> None:
        """Take things to the log as they come, until cancelled; first what an earlier run left behind."""
        self.wake()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            failures = 0
            while not await self.offer():
                await asyncio.sleep(backoff(failures, random(), _LONGEST_WAIT))
                failures += 1

    async def offer(self) -> bool:
        """Read what is unread and append what waits, once; False where the log is away and some of it still waits."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                await self._catch_up()
        except COLLABORATOR_ERRORS as error:
            raise_if_cancelled()
            self._tell_that_it_is_away(error)
            return False
        return True

    async def offer_within(self, seconds: float) -> None:
        """As `offer`, but without waiting longer than `seconds`: a log that hangs is a log that is away.

        One that is busy with much that was decided before us answers, now and then, and is not away.
        """
        if self.away_since is None:
            asked_at = self._monotonic()
            if self._offering is None or self._offering.done():
                self._offering = asyncio.create_task(self.offer())
            await asyncio.wait({self._offering}, timeout=seconds)
            if not self._offering.done() and self._answered_at < asked_at:
                self._tell_that_it_is_away(LogError(f"the log has not answered for {seconds:g}s"))
        if self._ledger.unread:
            self.wake()

    async def aclose(self, within: float) -> None:
        """Offer what waits once more, for at most `within` seconds, and let go."""
        offers = [asyncio.create_task(self.offer())]
        await asyncio.wait(offers, timeout=within)
        if self._offering is not None:
            offers.append(self._offering)
        for offer in offers:
            offer.cancel()
        await asyncio.gather(*offers, return_exceptions=True)

    async def hand_over(self, shards: frozenset[int]) -> None:
        """Take what was decided about these shards to the log, before another instance is given them.

        What the log does not take now is dropped: whoever has the shard next decides for itself. Never raises.
        """
        self._leaving |= shards
        try:
            async with self._one_at_a_time:
                leaving = [each for each in self._ledger.waiting.values() if self._shard_of(each) in shards]
                if leaving:
                    await self._appender.append(leaving, doubtful=self.away_since is not None)
        except COLLABORATOR_ERRORS as error:
            raise_if_cancelled()
            self._tell_that_it_is_away(error)
        finally:
            self._leaving -= shards

    async def _catch_up(self) -> None:
        async with self._one_at_a_time:
            await self._read_back()
            refused: dict[str, LogError] = {}
            while batch := list(islice(self._waiting_beside(refused), BATCH)):
                ours, doubtful = await self._confirmed(batch)
                refused.update(doubtful)
                if ours:
                    refused.update(await self._appender.append(ours, doubtful=self.away_since is not None))
                    self._note_answer()
            for refusal in refused.values():
                raise refusal
            self._tell_that_it_is_back()

    async def _read_back(self) -> None:
        while unread := dict(islice(self._ledger.unread.items(), _QUESTION)):
            last_events = await self._log.last_events(unread)
            self._note_answer()
            for game_id, admission in unread.items():
                if self._ledger.unread.get(game_id) == admission:
                    self._ledger.settle(game_id, last_events.get(game_id))
            await asyncio.sleep(0)

    def _note_answer(self) -> None:
        self._answered_at = self._monotonic()
        self._has_answered = True

    def _waiting_beside(self, refused: Container[str]) -> Iterator[Transition]:
        return (transition for game_id, transition in self._ledger.waiting.items() if game_id not in refused)

    async def _confirmed(self, batch: list[Transition]) -> tuple[list[Transition], dict[str, LogError]]:
        """Those of `batch` whose shards are still ours, asked just now, and by game those of which that is not known.

        What was decided about a shard that is somebody else's by now is dropped.
        """
        if self._shards is None:
            return batch, {}
        confirmed = await self._shards.confirm({self._shard_of(transition) for transition in batch})
        ours: list[Transition] = []
        doubtful: dict[str, LogError] = {}
        for transition in batch:
            shard = self._shard_of(transition)
            if shard in confirmed:
                ours.append(transition)
            elif shard in self._shards.shards or shard in self._leaving:
                doubtful[transition.game_id] = LogError("the lease of its shard could not be renewed")
            else:
                self._ledger.abandon(transition.game_id)
        return ours, doubtful

    def _shard_of(self, transition: Transition) -> int:
        return shard_of(transition.game_id, self._shard_count)

    def _tell_that_it_is_away(self, error: BaseException) -> None:
        if self.away_since is not None:
            return
        self.away_since = self._monotonic()
        self._has_answered = False
        first = next(iter(self._ledger.waiting.values()), None)
        self._logger.error(
            "publish health event",
            **({} if first is None else keys_of(first)),
            err=error_text(error),
            waiting=len(self._ledger.waiting),
        )

    def _tell_that_it_is_back(self) -> None:
        """It is, or what waited for it was dropped with its game or shard, and nobody has asked it anything since."""
        if self.away_since is not None:
            self.away_since = None
            told = "the log takes health events again" if self._has_answered else "nothing waits for the log any more"
            self._logger.info(told)
