"""The explanation: why a game stands as it does, and what would change it, in a short paragraph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from healthprobe._util.duration import two_units
from healthprobe.domain.fleet_status import Condition


@dataclass(frozen=True, slots=True)
class Rule:
    """By what a game is judged: `failures` and `successes` in a row. `interval` and `timeout` are seconds, and so are
    `confirm`, the spacing at which a failure is confirmed, and `steady`, what a flapping game has to be. A `plain` one
    is to answer 200, others as their settings say.
    """

    interval: float
    timeout: float
    failures: int
    successes: int = 1
    confirm: float | None = None
    steady: float | None = None
    plain: bool = True

    @property
    def told(self) -> str:
        """The rule in a sentence or two."""
        in_a_row = "one failure is" if self.failures == 1 else f"{self.failures} failures in a row are"
        answer = "200" if self.plain else "as its settings say"
        has = f"has {self.timeout:g}s to answer {answer}"
        asked = f"It is asked every {self.interval:g}s and {has}; {in_a_row} a probe_failed."
        if self.confirm is None or self.failures == 1:
            return asked
        return f"{asked} After a first failure it is asked again every {self.confirm:g}s."

    @property
    def ends_an_incident(self) -> str:
        """What does, as the subject of a sentence."""
        if self.successes == 1:
            return f"One answer {self._how} ends"
        return f"{self.successes} answers in a row {self._how} end"

    @property
    def answer(self) -> str:
        """A success, in words."""
        return f"answer {self._how}"

    @property
    def _how(self) -> str:
        return "with 200" if self.plain else "as its settings say"


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of a game. `down_for` is seconds, where the log tells when its incident began; `last_outcomes` are
    the newest last, in a word each. Until `silenced_until` nothing of it is told; None where it is not silenced.
    """

    game_id: str
    condition: Condition
    rule: Rule
    consecutive_failures: int = 0
    last_error: str | None = None
    down_for: float | None = None
    in_log: bool = True
    last_outcomes: Sequence[str] = ()
    silenced_until: datetime | None = None
    silenced_why: str = ""
    flapping: bool = False


def explanation(case: Case) -> str:
    """A paragraph for whoever asks why.

    >>> explanation(Case("chess-1", Condition.UNKNOWN, Rule(5, 2, 3)))
    'chess-1 was not asked yet. It is asked every 5s and has 2s to answer 200; 3 failures in a row are a probe_failed.'
    """
    match case.condition:
        case Condition.DOWN:
            told = _of_down(case)
        case Condition.FAILING:
            told = _of_failing(case)
        case Condition.UNKNOWN:
            told = f"{case.game_id} was not asked yet."
        case Condition.HEALTHY:
            told = f"{case.game_id} answers."
    return " ".join([told, *_of_outcomes(case), case.rule.told, *_what_would_change_it(case), *_of_silence(case)])


def _of_down(case: Case) -> str:
    lasting = "" if case.down_for is None else f" for {two_units(case.down_for)}"
    count = f"{case.consecutive_failures} probe{'s' * (case.consecutive_failures != 1)} in a row failed"
    waits = "" if case.in_log else " Its probe_failed is decided and waits for the log."
    return f"{case.game_id} is down{lasting}: {count}{_the_last_with(case)}.{waits}"


def _of_failing(case: Case) -> str:
    missing = max(case.rule.failures - case.consecutive_failures, 1)
    probes = "its last probe" if case.consecutive_failures == 1 else f"its last {case.consecutive_failures} probes"
    if case.consecutive_failures >= case.rule.failures:
        why = (
            "it is silenced" if case.silenced_until is not None else "most of the fleet failed at once, and it is held"
        )
        return f"{case.game_id} fails: {probes} failed{_the_last_with(case)}. That is not told, for {why}."
    more = "one more failure" if missing == 1 else f"{missing} more failures"
    return f"{case.game_id} is not down: {probes} failed{_the_last_with(case)}, and {more} in a row would be told."


def _the_last_with(case: Case) -> str:
    return f", the last with “{case.last_error}”" if case.last_error else ""


def _of_outcomes(case: Case) -> list[str]:
    known = len(case.last_outcomes)
    if not known:
        return []
    healthy = sum(outcome == "healthy" for outcome in case.last_outcomes)
    unclear = sum(outcome == "inconclusive" for outcome in case.last_outcomes)
    told = (
        f"Of its last {known} probes {healthy} were healthy"
        if known > 1
        else f"Its one probe was {case.last_outcomes[0]}"
    )
    return [f"{told}, and {unclear} told nothing of it." if unclear and known > 1 else f"{told}."]


def _what_would_change_it(case: Case) -> list[str]:
    if case.condition is Condition.DOWN:
        if case.flapping and case.rule.steady is not None:
            steady = two_units(case.rule.steady)
            return [f"It goes up and down, so its incident lasts until it has answered for {steady} without a failure."]
        return [f"{case.rule.ends_an_incident} the incident: a probe_recovered."]
    if case.condition is Condition.FAILING:
        return [f"One {case.rule.answer} sets the count back, and nothing is told."]
    return []


def _of_silence(case: Case) -> list[str]:
    if case.silenced_until is None:
        return []
    why = f" ({case.silenced_why})" if case.silenced_why else ""
    return [f"It is silenced until {case.silenced_until:%Y-%m-%d %H:%M:%S} UTC{why}: nothing of it is told before."]
