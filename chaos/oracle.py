"""The oracle: what the log must hold, computed from the engines' script alone."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from chaos.form import THRESHOLD
from healthprobe.testing.engines import OK, Behaviour

Document = Mapping[str, Any]
"""A health event as a document."""

_ALWAYS, _FOR_EVER = float("-inf"), float("inf")

_STEP_TAKES = 1.0
"""For how long after a step an event may still carry the time of before it, in seconds."""

_THE_PROGRAMS = "the program's"


def container_of(game_id: str) -> str:
    """Returns the container id in a game's record."""
    return f"container-of-{game_id}"


_RESOLUTION = 1e-6
"""The resolution of an event's time, in seconds; the times recorded here are finer."""


@dataclass(frozen=True, slots=True)
class ExpectedEvent:
    """One event of a game. `windows` are the spans of wall time, in seconds, in which the program may have seen it.

    A probe_failed counts at least the threshold of failures, and at most `most_failures`.
    """

    game_id: str
    last_status: int | None
    windows: tuple[tuple[float, float], ...]
    most_failures: float = THRESHOLD

    @property
    def event_type(self) -> str:
        return "probe_recovered" if self.last_status is None else "probe_failed"

    def difference(self, event: Document) -> str | None:
        """Returns how `event` differs from this one, or None."""
        if event["event_type"] != self.event_type:
            return f"is a {event['event_type']}, not a {self.event_type}"
        if event["container_id"] != container_of(self.game_id):
            return f"is of {event['container_id']}"
        seen = datetime.fromisoformat(event["occurred_at"]).timestamp()
        if not any(earliest - _RESOLUTION <= seen <= latest for earliest, latest in self.windows):
            return f"was seen at {event['occurred_at']}, not when its engine changed"
        return self._difference_of_details(event["details"])

    def _difference_of_details(self, details: Document) -> str | None:
        if self.last_status is None:
            prior = details["prior_failure_count"]
            return None if prior >= THRESHOLD else f"ends an incident of {prior} failures"
        failures, status = details["consecutive_failures"], details["last_status"]
        if THRESHOLD <= failures <= self.most_failures and status == self.last_status:
            return None
        return f"has {failures} failures, the last {status}"


class Oracle:
    """Every change of an engine, or of the program's wall clock, is recorded here before it is made.

    An engine changes only between healthy and one fault, and stays so until the log has the event. So each change is
    one event. `clocks` names the wall clocks that events may carry. `most_failures` is above the threshold where a
    program may start while the log is down: failures go on until it has read the game's state.
    """

    def __init__(self, clocks: Iterable[str] = (_THE_PROGRAMS,), *, most_failures: float = THRESHOLD) -> None:
        self._changes: dict[str, list[tuple[float, Behaviour]]] = defaultdict(list)
        self._clocks: dict[str, list[tuple[float, float]]] = {clock: [(_ALWAYS, 0.0)] for clock in clocks}
        self._most_failures = most_failures

    def engine_changes(self, game_id: str, behaviour: Behaviour) -> None:
        self._changes[game_id].append((time.time(), behaviour))

    def clock_steps(self, offset: float, clock: str = _THE_PROGRAMS) -> None:
        """Records that this wall clock is `offset` seconds ahead of ours from now on."""
        self._clocks[clock].append((time.time(), offset))

    @property
    def total(self) -> int:
        """How many events the changes so far make."""
        return sum(len(changes) for changes in self._changes.values())

    @property
    def failed(self) -> set[str]:
        """The games whose engine has ever failed."""
        return set(self._changes)

    def expected(self) -> dict[str, list[ExpectedEvent]]:
        """Returns each game's exact sequence of events so far; games without events are left out."""
        return {game_id: self._of_game(game_id, changes) for game_id, changes in self._changes.items()}

    def _of_game(self, game_id: str, changes: list[tuple[float, Behaviour]]) -> list[ExpectedEvent]:
        return [
            ExpectedEvent(game_id, _status_of(behaviour), tuple(self._windows(at, following)), self._most_failures)
            for (at, behaviour), (following, _) in pairwise([*changes, (_FOR_EVER, OK)])
        ]

    def _windows(self, earliest: float, latest: float) -> list[tuple[float, float]]:
        """Returns the span between two instants on each clock that was in force meanwhile."""
        return [
            (max(earliest, began) + offset, min(latest, stepped + _STEP_TAKES) + offset)
            for steps in self._clocks.values()
            for (began, offset), (stepped, _) in pairwise([*steps, (_FOR_EVER, 0.0)])
            if began <= latest and earliest <= stepped + _STEP_TAKES
        ]


def _status_of(behaviour: Behaviour) -> int | None:
    """Returns the `last_status` of a failure, or None if the engine is healthy."""
    if behaviour == OK:
        return None
    return behaviour if isinstance(behaviour, int) else 0
