"""Availability: how long games were up, down, or watched by nobody. All instants are seconds since the epoch.

Of any window a game is down in its incidents, up where it was watched outside of them, and for the rest nobody can say.
That rest is never counted as up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from healthprobe.domain.incident import Incident

Span = tuple[float, float]
"""From an instant to a later one."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """Returns the same time as spans in order that neither overlap nor touch. Empty ones are left out.

    >>> merged([(5, 9), (1, 2), (8, 12), (2, 3), (7, 7)])
    [(1, 3), (5, 12)]
    """
    found: list[Span] = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def within(spans: Iterable[Span], window: Span) -> list[Span]:
    """Returns the parts of `spans` that lie in `window`, merged."""
    return merged((max(start, window[0]), min(end, window[1])) for start, end in spans)


def without(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """Returns the parts of `spans` that lie in none of `others`, merged.

    >>> without([(0, 10)], [(2, 3), (8, 12)])
    [(0, 2), (3, 8)]
    """
    found: list[Span] = []
    removed = merged(others)
    place = 0
    for start, end in merged(spans):
        at = start
        while place < len(removed) and removed[place][1] <= start:
            place += 1
        for first, last in removed[place:]:
            if first >= end:
                break
            if first > at:
                found.append((at, first))
            at = max(at, last)
        if at < end:
            found.append((at, end))
    return found


def seconds_of(spans: Iterable[Span]) -> float:
    """Returns how long `spans`, which do not overlap, last together."""
    return sum(end - start for start, end in spans)


@dataclass(frozen=True, slots=True)
class Availability:
    """The seconds of one game, or of several added up: `up_s`, `down_s` and `unwatched_s` make up the whole window.

    `incidents` were open at some time of the window, of which `failures` began in it and `repairs` ended in it with a
    recovery; those lasted `repair_s` together, also before the window. `longest_s` is the longest time down in one go.
    """

    incidents: int = 0
    failures: int = 0
    repairs: int = 0
    repair_s: float = 0.0
    longest_s: float = 0.0
    up_s: float = 0.0
    down_s: float = 0.0
    unwatched_s: float = 0.0

    @property
    def mttr_s(self) -> float | None:
        """The mean time to recovery, or None if nothing recovered."""
        return self.repair_s / self.repairs if self.repairs else None

    @property
    def mtbf_s(self) -> float | None:
        """The mean time up between failures, or None if nothing failed."""
        return self.up_s / self.failures if self.failures else None

    @property
    def percent(self) -> float | None:
        """The share of the known time that was up, or None if nothing is known."""
        known = self.up_s + self.down_s
        return 100.0 * self.up_s / known if known else None

    @property
    def unwatched_percent(self) -> float:
        """The share of the whole time that nobody watched and no incident covers."""
        whole = self.up_s + self.down_s + self.unwatched_s
        return 100.0 * self.unwatched_s / whole if whole else 0.0

    def __add__(self, other: Availability) -> Availability:
        """Returns both together, as of a group of games."""
        return Availability(
            self.incidents + other.incidents,
            self.failures + other.failures,
            self.repairs + other.repairs,
            self.repair_s + other.repair_s,
            max(self.longest_s, other.longest_s),
            self.up_s + other.up_s,
            self.down_s + other.down_s,
            self.unwatched_s + other.unwatched_s,
        )

    def as_document(self) -> dict[str, Any]:
        """Returns the figures as data: seconds to the millisecond, shares in percent with five decimals."""
        return {
            "incidents": self.incidents,
            "down_s": round(self.down_s, 3),
            "longest_s": round(self.longest_s, 3),
            "mttr_s": _rounded(self.mttr_s, 3),
            "mtbf_s": _rounded(self.mtbf_s, 3),
            "availability_percent": _rounded(self.percent, 5),
            "up_s": round(self.up_s, 3),
            "unwatched_s": round(self.unwatched_s, 3),
            "unwatched_percent": round(self.unwatched_percent, 5),
        }


def availability(incidents: Sequence[Incident], watched: Iterable[Span], window: Span) -> Availability:
    """Returns the availability of one game in `window`, from its `incidents` in order and the time that was `watched`.

    An open incident lasts to the end of the window. After an incident that ended because the game was gone, the game is
    not up until its next incident shows that it runs again: nothing is known of it.
    """
    until = window[1]
    spans = [down_span(each, until) for each in incidents]
    down = within(spans, window)
    beginnings = [*(start for start, _ in spans[1:]), until]
    absent = [
        (each.gone_at.timestamp(), following)
        for each, following in zip(incidents, beginnings, strict=False)
        if each.gone_at is not None
    ]
    up = seconds_of(without(without(within(watched, window), down), absent))
    seen = [(each, span) for each, span in zip(incidents, spans, strict=True) if _is_in(span, window)]
    repaired = [span for each, span in seen if each.recovered is not None and span[1] <= until]
    return Availability(
        incidents=len(seen),
        failures=sum(span[0] >= window[0] for _, span in seen),
        repairs=len(repaired),
        repair_s=sum(end - start for start, end in repaired),
        longest_s=max((end - start for start, end in down), default=0.0),
        up_s=up,
        down_s=seconds_of(down),
        unwatched_s=max(window[1] - window[0] - up - seconds_of(down), 0.0),
    )


def down_span(incident: Incident, until: float) -> Span:
    """Returns from when to when the game was down, up to `until` while the incident is open."""
    start = incident.failed.occurred_at.timestamp()
    end = until if incident.ended_at is None else incident.ended_at.timestamp()
    return start, max(start, end)


def parts_of(window: Span, count: int) -> list[Span]:
    """Returns `window` in `count` parts of equal length, oldest first."""
    start, end = window
    length = (end - start) / count
    bounds = [*(start + number * length for number in range(count)), end]
    return list(pairwise(bounds))


def _is_in(span: Span, window: Span) -> bool:
    start, end = span
    return start < window[1] and (end > window[0] or start >= window[0])


def _rounded(number: float | None, digits: int) -> float | None:
    return None if number is None else round(number, digits)
