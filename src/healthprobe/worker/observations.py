"""Observations: the games of which nothing is known now, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from healthprobe.domain.alarms.observation import Unobserved, is_the_engines_own, taken_for_a_failure
from healthprobe.domain.outcome import Failed, Inconclusive, ProbeOutcome
from healthprobe.worker.target_set import Targets, WatchedGame


class Observations:
    """Keeps the games whose last probe told nothing, or that were not probed yet, and no others.

    So a game that is observed costs nothing. `changes` grows with each change. All times are monotonic
    seconds.
    """

    def __init__(self, targets: Targets, interval: float, monotonic: Callable[[], float]) -> None:
        self._targets = targets
        self._interval = interval
        self._monotonic = monotonic
        self.unobserved: dict[str, Unobserved] = {}
        """By game; always the same object."""
        self.changes = 0
        self._probed = 0
        self._without_route = 0
        self._most_since: float | None = None

    def begin(self, appeared: Iterable[str], newcomers: Iterable[WatchedGame]) -> None:
        """Games appeared. Of one that has a new container or endpoint nothing is known from now on, if nothing was."""
        now = self._monotonic()
        new = Unobserved(now, was_observed=False)
        for game_id in appeared:
            self._set(game_id, new)
        for game in newcomers:
            if (known := self.unobserved.get(game.game_id)) is not None and known is not new:
                self._set(game.game_id, replace(known, since=now, blamed=None))

    def end(self, game_id: str) -> None:
        """The game has a conclusive outcome, or is not watched any more."""
        if game_id in self.unobserved:
            self._set(game_id, None)

    def judged(self, game: WatchedGame, outcome: Inconclusive) -> Inconclusive | Failed:
        """Returns the outcome as it counts: where only this engine's address has no route, and for long, it failed."""
        known = self.unobserved.get(game.game_id)
        if known is None or not (outcome.no_route and known.no_route) or not self._is_engines_own():
            return outcome
        if not known.is_long(self._monotonic(), self._interval_of(game)):
            return outcome
        failed = taken_for_a_failure(outcome)
        self._set(game.game_id, replace(known, cause=outcome.cause, blamed=failed))
        return failed

    def record(self, game: WatchedGame, outcome: ProbeOutcome, started: float) -> None:
        """Notes the outcome of a probe that began at `started`, as it counts."""
        game_id = game.game_id
        known = self.unobserved.get(game_id)
        if self._targets.in_force.by_id.get(game_id) is not game:
            return
        if not isinstance(outcome, Inconclusive):
            if known is not None and known.blamed != outcome:
                self._set(game_id, None)
        elif known is None:
            self._set(game_id, Unobserved(started, outcome.cause, outcome.no_route))
        elif known.cause != outcome.cause or known.no_route != outcome.no_route or known.blamed is not None:
            self._set(game_id, replace(known, cause=outcome.cause, no_route=outcome.no_route, blamed=None))

    def is_unknown(self, game_id: str) -> bool:
        """Returns whether nothing is known of a watched game: see `Unobserved.is_unknown`."""
        known, game = self.unobserved.get(game_id), self._targets.in_force.by_id.get(game_id)
        if known is None or game is None:
            return False
        return known.is_unknown(self._monotonic(), self._interval_of(game), game.thresholds.failures)

    def long(self) -> Iterator[tuple[WatchedGame, float, Unobserved]]:
        """Yields the games of which nothing was known for long, with their intervals.

        One that counts as failed by now is not among them.
        """
        now, by_id, is_engines_own = self._monotonic(), self._targets.in_force.by_id, self._is_engines_own()
        for game_id, known in list(self.unobserved.items()):
            game = by_id.get(game_id)
            if game is None or known.blamed is not None or (known.no_route and is_engines_own):
                continue
            interval = self._interval_of(game)
            if known.is_long(now, interval):
                yield game, interval, known

    @property
    def unknown_most(self) -> tuple[int, float]:
        """How many games were probed without a conclusive outcome, and for how many seconds these have been most of the
        games: 0 where they are not.
        """
        if self._most_since is None:
            return self._probed, 0.0
        return self._probed, self._monotonic() - self._most_since

    def cause(self) -> str:
        """Returns the cause of one game of which nothing is known, or an empty text."""
        return next((each.cause for each in self.unobserved.values() if each.cause), "")

    def _is_engines_own(self) -> bool:
        return is_the_engines_own(self._without_route, len(self._targets.in_force) - len(self.unobserved))

    def _interval_of(self, game: WatchedGame) -> float:
        return self._interval * game.every

    def _set(self, game_id: str, after: Unobserved | None) -> None:
        before = self.unobserved.get(game_id)
        if after is None:
            del self.unobserved[game_id]
        else:
            self.unobserved[game_id] = after
        self.changes += 1
        for each, change in ((before, -1), (after, 1)):
            if each is not None and each.cause:
                self._probed += change
                self._without_route += change * each.no_route
        if 2 * self._probed <= len(self._targets.in_force):
            self._most_since = None
        elif self._most_since is None:
            self._most_since = self._monotonic()
