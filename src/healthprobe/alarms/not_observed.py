"""Games of which nothing is known for long, as the alarm stage takes them: like incidents, but of no event."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from healthprobe._util.aio import cooperative_iter
from healthprobe.domain.alarms.alerting import DecidedAlert, Decision, GroupRule, OpenIncident, decide
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails
from healthprobe.worker.config import utc_now
from healthprobe.worker.worker_status import WorkerStatus

NOT_OBSERVED = "not-observed"
"""What the keys of these alerts begin with, after the log's identity."""

PROBER = "prober"
"""The label by which they are grouped: a prober that sees nothing is one alert."""


@dataclass(frozen=True, slots=True)
class NotObserved:
    """A game of which nothing was known for long: since when, from when on that is reported, why, and to whom.

    `prober` is the name of the instance.
    """

    game_id: str
    since: datetime
    reported_from: datetime
    cause: str
    prober: str


class Observer(Protocol):
    """What is known of which games. While `is_ready` is false, nothing can be said of any."""

    @property
    def is_ready(self) -> bool: ...

    async def not_observed(self) -> Mapping[str, NotObserved]:
        """Returns the games of which nothing was known for long."""
        ...

    def is_observed(self, game_id: str) -> bool:
        """Returns whether anything is known of a game. One that is not watched any more counts as observed."""
        ...


class WorkerObserver:
    """The Observer of the games that a worker watches. `prober` is the name of this instance."""

    def __init__(
        self, status: Callable[[], WorkerStatus], prober: str, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._status = status
        self._prober = prober
        self._clock = clock

    @property
    def is_ready(self) -> bool:
        """Whether a list is in force: before that no game is watched."""
        return self._status().has_listing

    async def not_observed(self) -> Mapping[str, NotObserved]:
        now = self._clock()
        return {
            game_id: NotObserved(
                game_id, now - timedelta(seconds=seconds), now - timedelta(seconds=reported), cause, self._prober
            )
            for game_id, seconds, reported, cause in await self._status().not_observed()
        }

    def watches(self, game_id: str) -> bool:
        """Returns whether the game is one of this instance's."""
        return game_id in self._status().target_set.by_id

    def is_observed(self, game_id: str) -> bool:
        return self._status().unobserved(game_id) is None


@dataclass(slots=True)
class ObservedFleet:
    """Decides the alerts about games of which nothing is known, by `observer`; without one there are none.

    Such an alert lasts until its games are observed again, also over a restart, before which a game is not observed.
    """

    observer: Observer | None
    wait: timedelta
    found: Mapping[str, NotObserved] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Whether anything can be decided: before the first list is in force, no game is observed or not."""
        return self.observer is None or self.observer.is_ready

    async def look(self, alerts: Iterable[DecidedAlert]) -> frozenset[str]:
        """Asks the observer. Returns the games that are not observed, or have an open alert for that."""
        self.found = {} if self.observer is None else await self.observer.not_observed()
        told = {game_id for each in alerts if each.is_not_observed and each.is_open for game_id in each.members}
        return frozenset(told | self.found.keys())

    async def decide(
        self,
        before: Mapping[str, DecidedAlert],
        failed: Collection[str],
        labels_of: Callable[[str], Mapping[str, str] | None],
        is_gone: Callable[[str], bool],
        is_silenced: Callable[[OpenIncident], bool],
        *,
        identity: str,
        now: datetime,
    ) -> tuple[Decision, Mapping[str, OpenIncident]]:
        """Returns the alerts of this kind that should be open, or are over, and their games as incidents.

        `failed` have an incident in the log, which says more. A game that is not listed, and not gone, stays as it is.
        """
        if self.observer is None:
            return Decision(before), {}
        numbers = {game: number for each in before.values() if each.is_open for game, number in each.members.items()}
        incidents: dict[str, OpenIncident] = {}
        gone: set[str] = set()
        async for game_id in cooperative_iter(sorted(self.found.keys() | numbers.keys())):
            labels, known = labels_of(game_id), self.found.get(game_id)
            if labels is None and is_gone(game_id):
                gone.add(game_id)
            elif game_id not in failed and (known or labels is None or not self.observer.is_observed(game_id)):
                known = known or NotObserved(game_id, now, now, "", "")
                incidents[game_id] = _incident(known, numbers.get(game_id), labels)
        decision = decide(
            before,
            incidents,
            rule=GroupRule(PROBER, self.wait),
            identity=identity,
            now=now,
            is_silenced=is_silenced,
            ended_as_gone=gone,
        )
        alerts = {
            key: alert if key in before else replace(alert, is_not_observed=True)
            for key, alert in decision.alerts.items()
        }
        return Decision(alerts, decision.look_again_at), incidents


def _incident(known: NotObserved, number: int | None, listed: Mapping[str, str] | None) -> OpenIncident:
    """Returns a game as an incident, by the number that its alert has of it, or by the second in which it began."""
    sequence = int(known.since.timestamp()) if number is None else number
    details = ProbeFailedDetails(0, 0, known.cause)
    event = HealthEvent(sequence, known.game_id, "", known.since, details)
    labels = {"game_id": known.game_id} if listed is None else listed
    with_prober = {**labels, PROBER: known.prober} if known.prober else labels
    return OpenIncident(event, known.reported_from, with_prober, is_listed=listed is not None)
