"""The event writer: writes transitions to the log in batches, off the probe path."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Container, Mapping
from itertools import islice
from random import random
from typing import TypeVar

from healthprobe._util.aio import CALL_TIMEOUT, COLLABORATOR_ERRORS, cooperative_iter, error_text, raise_if_cancelled
from healthprobe._util.safe_logging import SafeLogger
from healthprobe.domain.event import AlteredEvent, HealthEvent
from healthprobe.domain.hysteresis import Transition
from healthprobe.domain.schedule import backoff
from healthprobe.domain.shard import SHARDS, shard_of
from healthprobe.ports import ContentError, LogError, ShardLeases, WorkerLog
from healthprobe.worker.config import Clock
from healthprobe.worker.game_states import GameStates
from healthprobe.worker.safe_telemetry import SafeTelemetry

Answer = TypeVar("Answer")

BATCH = 1_000
"""The most transitions in one append, and the most games in one question: 100,000 may fail or appear together."""

_ACKNOWLEDGED_A_TURN = 50
"""The most transitions acknowledged between two turns of the loop: each has its log line."""

RETRY_SET_ASIDE = 60.0
"""Seconds after which games that the log could not hold are tried again: its owner may have repaired it."""

_LONGEST_WAIT = 5.0
"""The longest pause, in seconds, between two tries while the log is unavailable."""


class EventWriter:
    """Writes the transitions that wait, and reads the last events of new games. A state follows the log's answer.

    While the log is unavailable its transitions wait, unchanged and in order, and probing goes on. Every step may be
    repeated: an event whose acknowledgement was lost is recognised, and one that another instance wrote first is
    adopted. A game whose values the log cannot hold is set aside for a while, and keeps no other game waiting.
    `on_commit` is called after the log took events. `away_since` is when the log became unavailable, in monotonic
    seconds, or None; `error` is why, in words.
    """

    def __init__(
        self,
        log: WorkerLog,
        states: GameStates,
        *,
        shards: ShardLeases | None,
        telemetry: SafeTelemetry,
        clock: Clock,
        logger: SafeLogger,
        on_commit: Callable[[], None] | None,
    ) -> None:
        self._log = log
        self._states = states
        self._shards = shards
        self._shard_count = SHARDS if shards is None else shards.shard_count
        self._telemetry = telemetry
        self._monotonic = clock.monotonic
        self._logger = logger
        self._on_commit = on_commit
        self._leaving: frozenset[int] = frozenset()
        self._one_at_a_time = asyncio.Lock()
        self._writing: asyncio.Task[bool] | None = None
        self.away_since: float | None = None
        self.error = ""
        self._retried_at = float("-inf")
        self._logged_refusals: dict[str, str] = {}
        self._answered_at = float("-inf")
        self._has_answered = False

    async def run(self) -> None:
        """Writes whenever the states have changed, until cancelled; first what an earlier run left."""
        self._states.changed.set()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SET_ASIDE):
                    await self._states.changed.wait()
            self._states.changed.clear()
            failures = 0
            while not await self.write():
                await asyncio.sleep(backoff(failures, random(), _LONGEST_WAIT))
                failures += 1

    async def write(self) -> bool:
        """Reads the last events that are unread and appends what waits, once. False where the log is unavailable."""
        try:
            async with self._one_at_a_time:
                self._retry_set_aside()
                await self._read_last_events()
                await self._append_waiting()
        except COLLABORATOR_ERRORS as error:
            raise_if_cancelled()
            self._mark_unavailable(error)
            return False
        return True

    async def write_within(self, seconds: float) -> None:
        """The same, without waiting longer than `seconds`. A log that answers nothing meanwhile is unavailable."""
        if self.away_since is None:
            asked_at = self._monotonic()
            if self._writing is None or self._writing.done():
                self._writing = asyncio.create_task(self.write())
            await asyncio.wait({self._writing}, timeout=seconds)
            if not self._writing.done() and self._answered_at < asked_at:
                self._mark_unavailable(LogError(f"the log has not answered for {seconds:g}s"))
        if self._states.unread:
            self._states.changed.set()

    async def hand_over(self, shards: frozenset[int]) -> None:
        """Writes what was decided about these shards, before another instance has them. Never raises.

        What the log does not take now is dropped: the next owner of the shard decides for itself.
        """
        self._leaving |= shards
        try:
            async with self._one_at_a_time:
                leaving = [each for each in self._states.waiting.values() if self._shard_of(each) in shards]
                if leaving:
                    await self._append(leaving)
        except COLLABORATOR_ERRORS as error:
            raise_if_cancelled()
            self._mark_unavailable(error)
        finally:
            self._leaving -= shards

    async def aclose(self, within: float) -> None:
        """Writes once more, for at most `within` seconds."""
        writing = [asyncio.create_task(self.write())]
        await asyncio.wait(writing, timeout=within)
        if self._writing is not None:
            writing.append(self._writing)
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)

    async def _read_last_events(self) -> None:
        while unread := dict(islice(self._states.unread.items(), BATCH)):
            last_events = await self._last_events(unread)
            self._mark_answered()
            for game_id, admission in unread.items():
                if self._states.unread.get(game_id) == admission and game_id not in self._states.set_aside:
                    self._adopt(game_id, last_events.get(game_id))
            await asyncio.sleep(0)

    async def _last_events(self, unread: Mapping[str, int]) -> Mapping[str, HealthEvent]:
        """Reads the last events of these games; sets those aside whose id the log cannot look up."""
        try:
            return await self._call(self._log.last_events(unread))
        except ContentError:
            last_events: dict[str, HealthEvent] = {}
        for game_id in unread:
            try:
                last_events.update(await self._call(self._log.last_events([game_id])))
            except ContentError as error:
                self._set_aside(game_id, error)
        return last_events

    async def _append_waiting(self) -> None:
        """Appends all that waits. Raises LogError if leases could not be confirmed, after all else was appended."""
        unconfirmed: set[str] = set()
        while batch := self._next_batch(unconfirmed):
            ours, doubtful = await self._split_by_lease(batch)
            unconfirmed.update(doubtful)
            if ours:
                await self._append(ours)
                self._mark_answered()
        if unconfirmed:
            raise LogError("the lease of its shard could not be renewed")
        if self.away_since is not None:
            self.away_since, self.error = None, ""
            back = "the log takes health events again"
            self._logger.info(back if self._has_answered else "nothing waits for the log any more")

    def _next_batch(self, excluded: Container[str]) -> list[Transition]:
        waiting = self._states.waiting.items()
        return list(islice((transition for game_id, transition in waiting if game_id not in excluded), BATCH))

    async def _split_by_lease(self, batch: list[Transition]) -> tuple[list[Transition], list[str]]:
        """Returns the transitions of `batch` whose shard is ours by a fresh confirmation, and the games for which that
        is unknown. Drops what was decided about a shard that another instance has.
        """
        if self._shards is None:
            return batch, []
        confirmed = await self._shards.confirm({self._shard_of(transition) for transition in batch})
        ours: list[Transition] = []
        doubtful: list[str] = []
        for transition in batch:
            shard = self._shard_of(transition)
            if shard in confirmed:
                ours.append(transition)
            elif shard in self._shards.shards or shard in self._leaving:
                doubtful.append(transition.game_id)
            else:
                self._states.abandon(transition.game_id)
        return ours, doubtful

    async def _append(self, batch: list[Transition]) -> None:
        """Appends `batch`. If the log cannot hold it, appends each alone, and sets those aside that it cannot hold."""
        try:
            await self._append_together(batch)
        except ContentError as error:
            if len(batch) == 1:
                self._set_aside(batch[0].game_id, error)
                return
            for transition in batch:
                await self._append([transition])

    async def _append_together(self, batch: list[Transition]) -> None:
        if self.away_since is not None:
            batch = await self._not_yet_written(batch)
        began = self._monotonic()
        standing = await self._call(self._log.append([transition.event for transition in batch]))
        self._telemetry.record_append(len(batch), self._monotonic() - began)
        async for transition, stands in cooperative_iter(zip(batch, standing, strict=True), _ACKNOWLEDGED_A_TURN):
            self._acknowledge(transition, stands)
        if self._on_commit is not None:
            try:
                self._on_commit()
            except Exception as error:  # noqa: BLE001  the events are in the log all the same
                self._logger.warning("on_commit failed", err=error_text(error))

    async def _not_yet_written(self, batch: list[Transition]) -> list[Transition]:
        """Returns those of `batch` that an earlier try, whose answer was lost, has not written."""
        last_events = await self._call(self._log.last_events([transition.game_id for transition in batch]))
        missing = []
        for transition in batch:
            stands = last_events.get(transition.game_id)
            if (0 if stands is None else stands.sequence) == transition.follows:
                missing.append(transition)
            else:
                self._acknowledge(transition, stands)
        return missing

    def _acknowledge(self, transition: Transition, stands: HealthEvent | None) -> None:
        """Adopts what stands in the log, by any writer, as the game's state.

        Where its shard left and came back meanwhile the log is asked again: another instance may have written since.
        """
        if transition.game_id not in self._states.unread:
            self._adopt(transition.game_id, stands)
        keys = _log_keys(transition)
        if stands == transition.event:
            self._telemetry.record_health_event(transition.details.event_type)
            self._logger.info("probe event published", **keys)
        else:
            self._logger.info("probe event superseded", **keys, stands=None if stands is None else stands.id)

    def _adopt(self, game_id: str, last_event: HealthEvent | None) -> None:
        """Adopts the game's last event in the log as its state."""
        if isinstance(last_event, AlteredEvent):
            self._logger.error(
                "event altered in the log: the game's state is taken from its sequence",
                game_id=game_id,
                state=last_event.event_type.value,
                err=last_event.problem,
            )
        self._states.acknowledge(game_id, last_event)

    def _set_aside(self, game_id: str, error: ContentError) -> None:
        self._states.refuse(game_id, error_text(error))
        if self._logged_refusals.get(game_id) != error_text(error):  # and not at every retry
            self._logged_refusals[game_id] = error_text(error)
            self._logger.error("health event set aside: the log cannot hold it", game_id=game_id, err=error_text(error))

    def _retry_set_aside(self) -> None:
        now = self._monotonic()
        if now - self._retried_at >= RETRY_SET_ASIDE:
            self._retried_at = now
            self._states.retry(now)

    async def _call(self, call: Awaitable[Answer]) -> Answer:
        """Awaits a call of the log. Raises LogError if it takes longer than CALL_TIMEOUT."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                return await call
        except TimeoutError:
            raise LogError(f"the log has not answered for {CALL_TIMEOUT:g}s") from None

    def _mark_answered(self) -> None:
        self._answered_at = self._monotonic()
        self._has_answered = True

    def _mark_unavailable(self, error: BaseException) -> None:
        self.error = error_text(error)
        if self.away_since is not None:
            return
        self.away_since = self._monotonic()
        self._has_answered = False
        first = next(iter(self._states.waiting.values()), None)
        keys = {} if first is None else _log_keys(first)
        self._logger.error("publish health event", **keys, err=error_text(error), waiting=len(self._states.waiting))

    def _shard_of(self, transition: Transition) -> int:
        return shard_of(transition.game_id, self._shard_count)


def _log_keys(transition: Transition) -> dict[str, str]:
    """Returns the reference's log keys."""
    return {
        "game_id": transition.game_id,
        "container_id": transition.container_id,
        "event_type": transition.details.event_type.value,
    }
