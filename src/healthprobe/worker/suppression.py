"""Suppression: what holds a transition back before the log."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from healthprobe._util.safe_logging import SafeLogger
from healthprobe.domain.hysteresis import GameState, Standing, Transition
from healthprobe.domain.mass_failure import MassFailure
from healthprobe.domain.policy import FlapRule
from healthprobe.worker.config import Clock, WorkerConfig
from healthprobe.worker.game_states import GameStates
from healthprobe.worker.target_set import Targets, WatchedGame

_EXPIRY_CHECKS = 1_000
"""How many games in grace are checked for its end when others begin theirs."""


class Grace:
    """The games whose failures do not count yet: for `seconds` after they appeared, or until their first success.

    Times are monotonic seconds. A game past its grace is not kept, so that a fleet past its start costs nothing.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.until: dict[WatchedGame, float] = {}
        """When the grace of each game ends; always the same object."""

    def begin(self, games: Iterable[WatchedGame], now: float) -> None:
        """These games appeared, or have a new container."""
        if not self._seconds:
            return
        for game, until in list(islice(self.until.items(), _EXPIRY_CHECKS)):
            if until <= now:
                del self.until[game]
        self.until.update(dict.fromkeys(games, now + self._seconds))

    def covers(self, game: WatchedGame, now: float) -> bool:
        """Returns whether a failure of the game does not count."""
        until = self.until.get(game)
        if until is None:
            return False
        if now < until:
            return True
        del self.until[game]
        return False

    def end(self, game: WatchedGame) -> None:
        """The game answered."""
        self.until.pop(game, None)


class Flaps:
    """The games that went up and down too often; each stays in its incident until it is steady.

    Times are monotonic seconds. Nothing of it outlives the process. Without a rule no game flaps.
    """

    def __init__(self, rule: FlapRule | None) -> None:
        self._rule = rule
        self._transitions: deque[tuple[float, str]] = deque()
        self._counts: Counter[str] = Counter()
        self._steady_since: dict[str, float | None] = {}

    def __contains__(self, game_id: str) -> bool:
        """Returns whether the game is flapping."""
        return game_id in self._steady_since

    def __len__(self) -> int:
        """Returns how many games are flapping."""
        return len(self._steady_since)

    def record(self, game_id: str, now: float) -> None:
        """A transition of the game was decided."""
        if self._rule is None:
            return
        self._steady_since.pop(game_id, None)
        self._transitions.append((now, game_id))
        self._counts[game_id] += 1

    def record_failure(self, game_id: str) -> None:
        """A probe of the game failed: it is not steady."""
        if game_id in self._steady_since:
            self._steady_since[game_id] = None

    def recovery_must_wait(self, game_id: str, now: float) -> bool:
        """Returns whether a success must not end the game's incident yet. Starts the steady period at the first one."""
        if self._rule is None:
            return False
        while self._transitions and self._transitions[0][0] <= now - self._rule.within:
            _, oldest = self._transitions.popleft()
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]
        if game_id not in self._steady_since and not self._rule.is_reached(self._counts[game_id]):
            return False
        since = self._steady_since.get(game_id)
        if since is None:
            since = self._steady_since[game_id] = now
        return now - since < self._rule.steady

    def remove(self, game_id: str) -> None:
        """The game is no longer watched. Its transitions still count, should it come back."""
        self._steady_since.pop(game_id, None)


_LONGEST_HOLD = 2
"""After how many intervals a hold ends whatever is known: an engine that is not probed again must not be forgotten."""


@dataclass(slots=True)
class _Held:
    """A `probe_failed` as it was decided, when its hold ends at most (monotonic seconds), and whether its game has
    failed again since.
    """

    transition: Transition
    ends_at: float
    failed_again: bool = False


class MassFailureHold:
    """Holds each `probe_failed` while a mass failure is on, until its game is probed again an interval later.

    If it fails then, and so does the share, the transition is released as it was decided. If the share answers, the
    prober was at fault: everything held is dropped, and games that still fail are decided anew. What is held is kept in
    memory only, so that a killed process leaves neither an event nor a false one. Times are monotonic seconds. Without
    a share nothing is held.
    """

    def __init__(self, share: float | None, interval: float, logger: SafeLogger) -> None:
        self._mass = None if share is None else MassFailure(share, interval)
        self._longest = _LONGEST_HOLD * interval
        self._logger = logger
        self._held: dict[str, _Held] = {}
        self._has_released = False

    def __len__(self) -> int:
        return len(self._held)

    @property
    def next_end(self) -> float | None:
        """When the first hold ends at most, or None where nothing is held."""
        return next((each.ends_at for each in self._held.values()), None)  # all last equally long: first in, first out

    def record_failure(self, game_id: str, healthy: int, now: float) -> None:
        """A healthy game failed; so many others are `healthy`."""
        if self._mass is None:
            return
        was_on = self._mass.is_on
        self._mass.failed(game_id, now, healthy)
        if self._mass.is_on and not was_on:
            self._logger.warning("many engines fail at once: transitions are held", healthy=healthy)

    def clear_failure(self, game_id: str) -> None:
        """The game answered, has another container, or is no longer watched: its transition is dropped."""
        if self._mass is None:
            return
        self._held.pop(game_id, None)
        self._mass.answered(game_id)
        if self._mass.is_on and not self._mass.holds:
            self._drop(self._mass)

    def wants(self, game_id: str) -> bool:
        """Returns whether a `probe_failed` of this game is to be held."""
        return self._mass is not None and (self._mass.is_on or game_id in self._held)

    def hold(self, transition: Transition, now: float) -> None:
        """Holds this `probe_failed`, unless one of its game is held already."""
        self._held.setdefault(transition.game_id, _Held(transition, now + self._longest))

    def record_repeated_failure(self, game_id: str) -> Sequence[Transition]:
        """A game failed beyond its threshold. Returns the transitions that are released by that."""
        if self._mass is None or not self._mass.is_on:
            return ()
        self._mass.failed_again(game_id)
        if (held := self._held.get(game_id)) is not None:
            held.failed_again = True
        if not self._mass.is_proven:
            return ()
        return self._release(self._mass, [each for each in self._held.values() if each.failed_again])

    def expire(self, now: float) -> Sequence[Transition]:
        """Ends the holds that last too long. Returns the transitions that are released, none if they were dropped."""
        expired = [each for each in self._held.values() if each.ends_at <= now]
        if self._mass is None or not expired:
            return ()
        if not self._mass.holds:
            self._drop(self._mass)
            return ()
        return self._release(self._mass, expired)

    def _release(self, mass: MassFailure, released: Sequence[_Held]) -> Sequence[Transition]:
        for each in released:
            del self._held[each.transition.game_id]
        if not self._has_released:
            self._has_released = True
            self._logger.warning("the engines still fail: held transitions are released")
        if not self._held:
            self._has_released = False
            mass.end()
        return [each.transition for each in released]

    def _drop(self, mass: MassFailure) -> None:
        self._logger.warning("the engines answer again: held transitions are dropped", dropped=len(self._held))
        self._held.clear()
        self._has_released = False
        mass.end()


class Suppression:
    """Delays or prevents transitions: grace and flapping before they are decided, a mass failure after."""

    def __init__(
        self, config: WorkerConfig, targets: Targets, states: GameStates, clock: Clock, logger: SafeLogger
    ) -> None:
        self._targets = targets
        self._states = states
        self._clock = clock
        self._has_held = asyncio.Event()
        self.grace = Grace(config.policy.grace)
        self.flaps = Flaps(config.policy.flap)
        self.mass_failure = MassFailureHold(config.policy.hold, config.interval, logger)

    def may_recover(self, game: WatchedGame, state: GameState, now: float) -> bool:
        """Returns whether a success may end the game's incident: it is not flapping."""
        if state.standing is not Standing.OPEN or state.pending is not None:
            return True
        return not self.flaps.recovery_must_wait(game.game_id, now)

    def record_failure(self, game: WatchedGame, before: GameState | None, after: GameState, now: float) -> None:
        """A probe of the game failed, and counts. To be called before the transition that it leads to is admitted."""
        self.flaps.record_failure(game.game_id)
        if after.consecutive_failures == 1 and not after.in_incident:  # a new run: an earlier hold no longer applies
            self.mass_failure.clear_failure(game.game_id)
        if before is None or (before.standing is Standing.CLOSED and not before.consecutive_failures):
            healthy = len(self._targets.in_force) - len(self._states.states)
            self.mass_failure.record_failure(game.game_id, healthy, now)

    def admit(self, transition: Transition, state: GameState, now: float) -> None:
        """Records the transition and sets its game's state, or holds the transition while a mass failure is on."""
        game_id = transition.game_id
        if state.standing is Standing.CLOSED and self.mass_failure.wants(game_id):
            self._states.set(game_id, replace(state, pending=None))
            self.mass_failure.hold(transition, now)
            self._has_held.set()
        else:
            self._states.record(transition, state, now)
            self.flaps.record(game_id, now)

    def record_repeated_failure(self, game_id: str) -> None:
        """The game failed beyond its threshold, which may prove a mass failure and release what it holds."""
        self._release(self.mass_failure.record_repeated_failure(game_id))

    def expire(self) -> None:
        """Ends the holds that last too long."""
        self._release(self.mass_failure.expire(self._clock.monotonic()))

    async def run(self) -> None:
        """Ends each hold as its time comes, until cancelled."""
        while True:
            self._has_held.clear()
            ends_at = self.mass_failure.next_end
            if ends_at is None:
                await self._has_held.wait()
            else:
                await asyncio.sleep(max(ends_at - self._clock.monotonic(), 0.0))
                self.expire()

    def remove(self, game_id: str) -> None:
        """The game is no longer watched."""
        self.mass_failure.clear_failure(game_id)
        self.flaps.remove(game_id)

    def _release(self, transitions: Iterable[Transition]) -> None:
        """Records what was held, unless the log has an event of the game meanwhile, or it is no longer watched."""
        for transition in transitions:
            game_id = transition.game_id
            state = self._states.states.get(game_id)
            if state is None or state.standing is not Standing.CLOSED or state.pending is not None:
                continue
            if game_id in self._targets.in_force.by_id:
                now = self._clock.monotonic()
                self._states.record(transition, replace(state, pending=transition.details), now)
                self.flaps.record(game_id, now)
