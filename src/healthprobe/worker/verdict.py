"""The verdict: whether an outcome counts, and what hysteresis makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from healthprobe._util.safe_logging import RateLimitedWarning, SafeLogger
from healthprobe.domain.hysteresis import GameState, Standing, Transition, after_failure, after_success
from healthprobe.domain.outcome import HEALTHY, Failed, Healthy, Inconclusive, ProbeOutcome
from healthprobe.ports import ShardLeases
from healthprobe.worker.canaries import Canaries
from healthprobe.worker.config import Clock, WorkerConfig
from healthprobe.worker.extra_probes import Confirmations
from healthprobe.worker.game_states import GameStates
from healthprobe.worker.observations import Observations
from healthprobe.worker.stall_detector import StallDetector
from healthprobe.worker.suppression import Suppression
from healthprobe.worker.target_set import Targets, WatchedGame

_STALLED = Inconclusive("the prober itself stood still")
_BLIND = Inconclusive("the prober is blind: no canary answers")

_LEAST_BETWEEN_ROUNDS = 0.1
"""Seconds between two rounds of the canaries: a thousand dead engines must not make a thousand rounds."""

_OUTCOMES_A_TURN = 200
"""How many outcomes that waited for the canaries are processed between two turns of the loop."""


@dataclass(frozen=True, slots=True)
class _Unverified:
    """An outcome that waits for the canaries. All times are monotonic seconds."""

    game: WatchedGame
    outcome: ProbeOutcome
    started: float
    due: float
    ended: float


class Verdict:
    """Decides transitions from outcomes, by the route, stall, canary and grace rules and then by hysteresis.

    With canaries, a failure counts only if one of them answers in a round that began after it. If none does the prober
    is blind: the failure is inconclusive, and so is one whose probe began while it was. `record_probe` is the
    telemetry's own method, without a wrapper, for it is called once a probe.
    """

    def __init__(
        self,
        config: WorkerConfig,
        targets: Targets,
        states: GameStates,
        suppression: Suppression,
        canaries: Canaries,
        *,
        stalls: StallDetector,
        observations: Observations,
        confirmations: Confirmations | None,
        shards: ShardLeases | None,
        record_probe: Callable[[str, ProbeOutcome, float, float], None],
        clock: Clock,
        logger: SafeLogger,
        errors: RateLimitedWarning,
    ) -> None:
        self._interval = config.interval
        self._targets = targets
        self._states = states
        self._suppression = suppression
        self._grace_until = suppression.grace.until
        self._canaries = canaries
        self._stalls = stalls
        self._observations = observations
        self._unobserved = observations.unobserved
        self._confirmations = confirmations
        self._shards = shards
        self._record_probe = record_probe
        self._wall = clock.wall
        self._monotonic = clock.monotonic
        self._logger = logger
        self._inconclusive = RateLimitedWarning(logger, "probe inconclusive", clock.monotonic)
        self._errors = errors
        self._unverified: list[_Unverified] = []
        self._unverified_games: set[str] = set()

    def process(self, game: WatchedGame, outcome: ProbeOutcome, started: float, due: float) -> None:
        """Processes the outcome of a probe that was due and began at these monotonic seconds. Never raises."""
        try:
            now = self._monotonic()
            if self._stalls.stalled(game.target.timeout, started, now):
                if outcome is HEALTHY:
                    self._end_unpublished_count(game)
                outcome = _STALLED
            elif outcome is not HEALTHY:
                outcome = _checked(outcome)
                if isinstance(outcome, Inconclusive):
                    outcome = self._observations.judged(game, outcome)
            if outcome is HEALTHY and not self._unverified_games:  # the fast path: of a healthy game nothing is kept
                if self._states.states or self._grace_until or self._unobserved:
                    self._apply(game, outcome, started, now)
            elif self._canaries and (isinstance(outcome, Failed) or game.game_id in self._unverified_games):
                # What follows an outcome that waits has to wait as well, for their order matters.
                self._unverified.append(_Unverified(game, outcome, started, due, now))
                self._unverified_games.add(game.game_id)
                self._canaries.wanted.set()
                return
            else:
                self._apply(game, outcome, started, now)
            self._record_probe(game.game_id, outcome, now - started, started - due)
        except Exception as error:  # noqa: BLE001  an error about one game must not reach another
            self._errors.warn_of(error)

    def _apply(self, game: WatchedGame, outcome: ProbeOutcome, started: float, now: float) -> None:
        if game.is_confirming:
            game.is_confirming = False
            game.not_before = 0.0
        if game.game_id in self._unobserved or isinstance(outcome, Inconclusive):
            self._observations.record(game, outcome, started)
        if isinstance(outcome, Inconclusive):
            self._inconclusive.warn(outcome.cause, game_id=game.game_id, games_unobserved=len(self._unobserved))
        elif isinstance(outcome, Failed):
            if self._is_current(game, started, now) and not self._suppression.grace.covers(game, now):
                self._count_failure(game, outcome, now)
        else:
            self._suppression.grace.end(game)
            before = self._states.states.get(game.game_id)
            if before is not None and self._is_current(game, started, now):
                self._count_success(game, before, now)

    def _is_current(self, game: WatchedGame, started: float, now: float) -> bool:
        """Returns whether the game is still listed as it was, and its shard was ours since its probe began.

        In a cluster an outcome older than an interval is outdated: another instance may have seen more since.
        """
        if self._targets.in_force.by_id.get(game.game_id) is not game:
            return False
        if self._shards is None:
            return True
        return now - started <= self._interval and self._shards.covers(game.shard, started)

    def _count_failure(self, game: WatchedGame, failed: Failed, now: float) -> None:
        """Counts a failure. At the threshold it becomes a transition; below it, an extra probe is to confirm it."""
        game_id, threshold = game.game_id, game.thresholds.failures
        before = self._states.states.get(game_id)
        after = after_failure(before, failed, game.record.current_container_id, threshold)
        self._suppression.record_failure(game, before, after, now)
        if _has_new_transition(before, after):
            self._suppression.admit(self._transition(game, after), after, now)
        else:
            self._states.set(game_id, after)
            self._logger.debug(
                "probe failure",
                game_id=game_id,
                consecutive_failures=after.consecutive_failures,
                threshold=threshold,
                err=failed.last_error,
            )
            is_up = after.standing is Standing.CLOSED and after.pending is None
            if self._confirmations is not None and is_up and after.consecutive_failures < threshold:
                self._confirmations.add(game, now)
        if after.consecutive_failures > threshold:
            self._suppression.record_repeated_failure(game_id)

    def _count_success(self, game: WatchedGame, before: GameState, now: float) -> None:
        """Counts a success of a game with a state. Enough of them end an incident; any ends an unpublished count."""
        self._suppression.mass_failure.clear_failure(game.game_id)
        decides = self._suppression.may_recover(game, before, now)
        after = after_success(before, game.thresholds.successes, decides=decides)
        if after is not None and _has_new_transition(before, after):
            self._suppression.admit(self._transition(game, after), after, now)
        else:
            self._states.set(game.game_id, after)

    def _end_unpublished_count(self, game: WatchedGame) -> None:
        """Ends the count of failures below the threshold. A success that spans a stall decides nothing else, since it
        may be old; but it came after those failures, so the next one is not in a row with them.
        """
        state = self._states.states.get(game.game_id)
        if state is not None and not state.in_incident and state.consecutive_failures < game.thresholds.failures:
            self._states.set(game.game_id, after_success(state))

    def _transition(self, game: WatchedGame, state: GameState) -> Transition:
        assert state.pending is not None
        follows, record = self._states.last_sequence(game.game_id), game.record
        return Transition(
            game.game_id, record.current_container_id, self._wall(), state.pending, follows, record.labels
        )

    async def run(self) -> None:
        """Probes the canaries as that is wanted, and processes what waited for them, until cancelled."""
        while self._canaries:
            await self._canaries.wanted.wait()
            self._canaries.wanted.clear()
            began = self._monotonic()
            await self._verify()
            await asyncio.sleep(max(began + _LEAST_BETWEEN_ROUNDS - self._monotonic(), 0.0))

    async def drain(self) -> None:
        """Probes the canaries until no outcome waits for them."""
        if self._canaries:
            await self._verify()
            while self._unverified:
                await self._verify()

    async def _verify(self) -> None:
        """Probes the canaries once, and processes the outcomes that waited before."""
        waiting, self._unverified = self._unverified, []
        await self._canaries.probe()
        for number, each in enumerate(waiting, 1):
            outcome = each.outcome
            is_blind = self._canaries.blind_since is not None or each.started < self._canaries.sees_since
            if isinstance(outcome, Failed) and is_blind:
                outcome = _BLIND
            try:
                self._apply(each.game, outcome, each.started, self._monotonic())
                self._record_probe(each.game.game_id, outcome, each.ended - each.started, each.started - each.due)
            except Exception as error:  # noqa: BLE001  an error about one game must not reach another
                self._errors.warn_of(error)
            if not number % _OUTCOMES_A_TURN:
                await asyncio.sleep(0)
        self._unverified_games.clear()
        self._unverified_games.update(each.game.game_id for each in self._unverified)


def _has_new_transition(before: GameState | None, after: GameState) -> bool:
    """Returns whether `after` has a transition that `before` did not have."""
    return after.pending is not None and (before is None or before.pending is None)


def _checked(outcome: object) -> ProbeOutcome:
    """Returns the outcome, or an inconclusive one for anything else that a prober returned."""
    if isinstance(outcome, Failed | Inconclusive):
        return outcome
    return HEALTHY if isinstance(outcome, Healthy) else Inconclusive(f"the prober returned {outcome!r}")
