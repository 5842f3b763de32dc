"""The appender: writes transitions to the log, and takes over what stands there."""

from __future__ import annotations

from collections.abc import Callable

from healthprobe.domain.event import HealthEvent
from healthprobe.domain.transition import Transition
from healthprobe.ports import HealthEventLog, LogError, Telemetry
from healthprobe.worker.bystanders import Voice
from healthprobe.worker.fault import plainly
from healthprobe.worker.ledger import Ledger
from healthprobe.worker.portions import in_portions

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
        logger: Voice,
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
        async for transition, stands in in_portions(zip(batch, standing, strict=True), _PORTION):
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
            self._logger.warning("on_commit failed", err=plainly(error))


def keys_of(transition: Transition) -> dict[str, str]:
    """The reference's log keys."""
    return {
        "game_id": transition.game_id,
        "container_id": transition.container_id,
        "event_type": transition.details.event_type.value,
    }
