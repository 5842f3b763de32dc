"""The status of a worker: what can be read of it from outside while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from healthprobe._util.aio import cooperative_iter
from healthprobe.domain.alarms.observation import LONG_INTERVALS
from healthprobe.domain.hysteresis import GameState, Transition
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ShardLeases
from healthprobe.worker.canaries import Canaries
from healthprobe.worker.config import Clock
from healthprobe.worker.discovery import Discovery
from healthprobe.worker.event_writer import EventWriter
from healthprobe.worker.game_states import GameStates, SetAside
from healthprobe.worker.listings import Listings
from healthprobe.worker.observations import Observations
from healthprobe.worker.suppression import Suppression
from healthprobe.worker.target_set import Targets, TargetSet
from healthprobe.worker.tick import Ticker


class WorkerStatus:
    """The games of a worker and what it knows of them now. Read-only, and cheap to read."""

    def __init__(
        self,
        targets: Targets,
        states: GameStates,
        suppression: Suppression,
        canaries: Canaries,
        event_writer: EventWriter,
        *,
        discovery: Discovery,
        ticker: Ticker,
        observations: Observations,
        listings: Listings,
        interval: float,
        clock: Clock,
        shards: ShardLeases | None,
    ) -> None:
        self._targets = targets
        self._states = states
        self._suppression = suppression
        self._canaries = canaries
        self._event_writer = event_writer
        self._discovery = discovery
        self._ticker = ticker
        self.observations = observations
        self._listings = listings
        self._interval = interval
        self._monotonic = clock.monotonic
        self._shards = shards

    @property
    def target_set(self) -> TargetSet:
        """All games that are watched; the same object as long as nothing changes."""
        return self._targets.in_force

    @property
    def has_listing(self) -> bool:
        """Whether a list of the store is in force: false until the first one is."""
        return self._discovery.has_listing

    @property
    def listing(self) -> Sequence[RuntimeRecord]:
        """The last complete listing, of all shards; the same object while nothing changes."""
        return self._listings.newest

    def is_gone(self, game_id: str) -> bool:
        """Returns whether a game of any shard is in none of the last three complete listings."""
        return game_id not in self.target_set.by_id and self._listings.is_gone(game_id)

    async def gone_games(self, game_ids: Iterable[str]) -> frozenset[str]:
        """Returns those of `game_ids`, of any shard, that are in none of the last three complete listings.

        Costs nothing per game that runs here, or while the store lists the same. Lets other tasks run.
        """
        running = self.target_set.by_id
        return await self._listings.gone(game_id for game_id in game_ids if game_id not in running)

    @property
    def states(self) -> Mapping[str, GameState]:
        """The states of games that are in trouble or not yet read from the log. Other games have none."""
        return self._states.states

    async def unknown_games(self) -> frozenset[str]:
        """Returns the games of which nothing is known: never yet, or not in the last `failures` intervals.

        Costs nothing for a game that is observed. Lets other tasks run.
        """
        is_unknown = self.observations.is_unknown
        unobserved = list(self.observations.unobserved)
        return frozenset([game_id async for game_id in cooperative_iter(unobserved) if is_unknown(game_id)])

    def unobserved(self, game_id: str) -> tuple[float, str] | None:
        """Returns for how many seconds nothing was known of a game, and why, which is empty if it was not probed yet.

        None for a game whose last probe had a conclusive outcome.
        """
        known = self.observations.unobserved.get(game_id)
        return None if known is None or known.blamed is not None else (self._monotonic() - known.since, known.cause)

    async def not_observed(self) -> list[tuple[str, float, float, str]]:
        """Returns the games of which nothing was known for ten intervals, without those that count as failed by now.

        Of each its id, for how many seconds that has been so, since when, in seconds, it has been ten intervals, and
        why. Costs nothing for a game that is observed. Lets other tasks run.
        """
        now = self._monotonic()
        return [
            (game.game_id, now - known.since, now - known.since - LONG_INTERVALS * interval, known.cause)
            async for game, interval, known in cooperative_iter(self.observations.long())
        ]

    @property
    def waiting(self) -> Mapping[str, Transition]:
        """The transitions that the log does not have yet, by game."""
        return self._states.waiting

    @property
    def longest_wait(self) -> float:
        """For how many seconds the oldest transition has waited for the log; 0 where none waits."""
        since = self._states.waiting_since
        return 0.0 if since is None else self._monotonic() - since

    @property
    def log_error(self) -> str:
        """Why the log is unavailable, or nothing while it takes events."""
        return self._event_writer.error

    @property
    def set_aside(self) -> Mapping[str, SetAside]:
        """The games whose values the log cannot hold, by id."""
        return self._states.set_aside

    @property
    def unread_games(self) -> int:
        """How many games have a last event that was not read yet: nothing about them is decided."""
        return len(self._states.unread)

    def is_flapping(self, game_id: str) -> bool:
        """Returns whether the game is kept in its incident because it goes up and down."""
        return game_id in self._suppression.flaps

    @property
    def flapping_games(self) -> int:
        return len(self._suppression.flaps)

    @property
    def held_decisions(self) -> int:
        """How many `probe_failed` are held because of a mass failure."""
        return len(self._suppression.mass_failure)

    @property
    def blind_for(self) -> float:
        """For how many seconds no canary has answered; 0 while one does, and where there are none."""
        since = self._canaries.blind_since
        return 0.0 if since is None else self._monotonic() - since

    @property
    def unknown_most(self) -> tuple[int, float]:
        """How many games were probed without a conclusive outcome, and for how many seconds they are most of all."""
        return self.observations.unknown_most

    @property
    def unknown_cause(self) -> str:
        """Why nothing is known of one of these games, or an empty text."""
        return self.observations.cause()

    @property
    def log_away_for(self) -> float:
        """For how many seconds the log has been unavailable; 0 while it takes events."""
        since = self._event_writer.away_since
        return 0.0 if since is None else self._monotonic() - since

    @property
    def shards_away_for(self) -> float:
        """For how many seconds the leases have been unavailable while we have no shards; 0 otherwise."""
        return 0.0 if self._shards is None or self._shards.shards else self._shards.unavailable_for

    @property
    def tick_overdue_for(self) -> float:
        """For how many seconds the running tick should have ended, or the next begun; 0 while all is well."""
        return max(0.0, self._monotonic() - self._ticker.due_at) if self._ticker.due_at else 0.0

    @property
    def is_watching(self) -> bool:
        """Whether its games are probed: no tick is late by an interval, it is not blind, and it has shards."""
        if not self._ticker.due_at or self.tick_overdue_for > self._interval or self._canaries.blind_since is not None:
            return False
        return self._shards is None or bool(self._shards.shards)

    @property
    def lanes_in_use(self) -> int:
        """How many probes of the running tick are in flight."""
        return 0 if self._ticker.tick is None else self._ticker.tick.in_flight

    @property
    def lane_limit(self) -> int:
        """The most probes in flight."""
        return 0 if self._ticker.tick is None else self._ticker.tick.limit
