"""Explains in a short paragraph why a game is in its condition and what would change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from healthprobe._util.duration import two_units
from healthprobe.domain.fleet_status import Condition
from healthprobe.domain.record import end_of_silence


@dataclass(frozen=True, slots=True)
class GameRule:
    """The rule a game is judged by: `failures` and `successes` in a row.

    `interval`, `timeout`, `confirm` (the spacing of extra probes after a failure) and `steady` (how long a flapping
    game must stay healthy) are seconds. A game with `expects_200` has no expectation in its own settings.
    """

    interval: float
    timeout: float
    failures: int
    successes: int = 1
    confirm: float | None = None
    steady: float | None = None
    expects_200: bool = True

    @property
    def description(self) -> str:
        """The rule in one or two sentences."""
        in_a_row = "one failure is" if self.failures == 1 else f"{self.failures} failures in a row are"
        expected = "200" if self.expects_200 else "as its settings say"
        rule = (
            f"It is probed every {self.interval:g}s and has {self.timeout:g}s to answer {expected}; "
            f"{in_a_row} a probe_failed."
        )
        if self.confirm is None or self.failures == 1:
            return rule
        return f"{rule} After a first failure it is probed again every {self.confirm:g}s."

    @property
    def how_to_succeed(self) -> str:
        return "with 200" if self.expects_200 else "as its settings say"


@dataclass(frozen=True, slots=True)
class GameFacts:
    """What is known of a game.

    `down_for` is seconds, or None where the start of the incident is not known. `last_outcomes` has one word for each
    outcome, the newest last. `unobserved_for` is for how many seconds no probe has had a conclusive outcome, because of
    `unobserved_why`, or None where the last one had. `silenced_until` is None for a game that is not silenced.
    """

    game_id: str
    condition: Condition
    rule: GameRule
    consecutive_failures: int = 0
    last_error: str | None = None
    down_for: float | None = None
    in_log: bool = True
    last_outcomes: Sequence[str] = ()
    silenced_until: datetime | None = None
    silenced_why: str = ""
    silenced_by: str = ""
    flapping: bool = False
    unobserved_for: float | None = None
    unobserved_why: str = ""


def explain(game: GameFacts) -> str:
    """Returns the explanation of a game's condition.

    >>> explain(GameFacts("go", Condition.UNKNOWN, GameRule(5, 2, 1)))
    'go has not been probed yet. It is probed every 5s and has 2s to answer 200; one failure is a probe_failed.'
    """
    match game.condition:
        case Condition.DOWN:
            sentences = [_explain_down(game)]
        case Condition.FAILING:
            sentences = [_explain_failing(game)]
        case Condition.UNKNOWN:
            sentences = [_explain_unknown(game)]
        case Condition.HEALTHY:
            sentences = [f"{game.game_id} is healthy."]
    if game.condition is not Condition.UNKNOWN and game.unobserved_for is not None and game.unobserved_why:
        lasting = two_units(game.unobserved_for)
        sentences.append(f"It has not been observed for {lasting}: “{game.unobserved_why}”.")
    if game.last_outcomes:
        sentences.append(_summarize_outcomes(game.last_outcomes))
    sentences.append(game.rule.description)
    if game.condition is Condition.DOWN:
        sentences.append(_explain_recovery(game))
    elif game.condition is Condition.FAILING:
        sentences.append(f"One answer {game.rule.how_to_succeed} resets the count without an event.")
    if game.silenced_until is not None:
        sentences.append(explain_silence(game.silenced_until, game.silenced_by, game.silenced_why))
    return " ".join(sentences)


def explain_silence(until: datetime, who: str, why: str) -> str:
    """Returns the sentence about a silence of a game.

    >>> explain_silence(datetime(2026, 11, 25, 14), "anna", "new map")
    'It is silenced by anna until 2026-11-25 14:00:00 UTC (new map): no alarm is raised before then.'
    """
    by, because = f" by {who}" if who else "", f" ({why})" if why else ""
    end = end_of_silence(until, "%Y-%m-%d %H:%M:%S")
    return f"It is silenced{by} until {end}{because}: no alarm is raised before then."


def _explain_unknown(game: GameFacts) -> str:
    if not game.unobserved_why:
        return f"{game.game_id} has not been probed yet."
    lasting = "" if game.unobserved_for is None else f" for {two_units(game.unobserved_for)}"
    return (
        f"Nothing has been known of {game.game_id}{lasting}: its probes were inconclusive, "
        f"the last with “{game.unobserved_why}”. That is the prober's own fault, and counts "
        "neither as a failure nor as a success."
    )


def _explain_down(game: GameFacts) -> str:
    lasting = "" if game.down_for is None else f" for {two_units(game.down_for)}"
    count = f"{game.consecutive_failures} probe{'s' * (game.consecutive_failures != 1)} in a row failed"
    waits = "" if game.in_log else " Its probe_failed is decided and waits for the log."
    return f"{game.game_id} is down{lasting}: {count}{_last_error(game)}.{waits}"


def _explain_failing(game: GameFacts) -> str:
    count = game.consecutive_failures
    failed = f"its last {'probe' if count == 1 else f'{count} probes'} failed{_last_error(game)}"
    if count >= game.rule.failures:
        held = "Its probe_failed is held back because most of the fleet failed at once."
        return f"{game.game_id} fails: {failed}. {held}"
    missing = max(game.rule.failures - count, 1)
    more = "one more failure in a row makes" if missing == 1 else f"{missing} more failures in a row make"
    return f"{game.game_id} is not down: {failed}, and {more} a probe_failed."


def _last_error(game: GameFacts) -> str:
    return f", the last with “{game.last_error}”" if game.last_error else ""


def _summarize_outcomes(outcomes: Sequence[str]) -> str:
    if len(outcomes) == 1:
        return f"Its one probe was {outcomes[0]}."
    healthy, inconclusive = outcomes.count("healthy"), outcomes.count("inconclusive")
    rest = f", and {inconclusive} inconclusive" if inconclusive else ""
    return f"Of its last {len(outcomes)} probes {healthy} were healthy{rest}."


def _explain_recovery(game: GameFacts) -> str:
    rule = game.rule
    if game.flapping and rule.steady is not None:
        steady = two_units(rule.steady)
        return f"It is flapping, so its incident lasts until it has been healthy for {steady} without a failure."
    if rule.successes == 1:
        return f"One answer {rule.how_to_succeed} ends the incident: a probe_recovered."
    return f"{rule.successes} answers in a row {rule.how_to_succeed} end the incident: a probe_recovered."
