"""The status of a fleet: the condition of each game, and whether an engine, a host or the prober is at fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from healthprobe._util.duration import two_units
from healthprobe.domain.hysteresis import GameState


class Condition(StrEnum):
    """In the order in which they deserve attention."""

    DOWN = "down"
    """In an incident: its last event is a `probe_failed`, or is about to be."""

    FAILING = "failing"
    """It failed lately, less often in a row than makes an incident."""

    UNKNOWN = "unknown"
    """It was not asked yet."""

    HEALTHY = "healthy"


def condition_of(state: GameState | None, *, asked: bool) -> Condition:
    """How a game stands that has this state, and was `asked` since it appeared, or was not.

    >>> condition_of(None, asked=True)
    <Condition.HEALTHY: 'healthy'>
    >>> condition_of(None, asked=False)
    <Condition.UNKNOWN: 'unknown'>
    """
    if state is not None:
        if state.in_incident:
            return Condition.DOWN
        if state.consecutive_failures:
            return Condition.FAILING
    return Condition.HEALTHY if asked else Condition.UNKNOWN


FLEET_SHARE = 0.5
FLEET_LEAST = 5
"""From which share of all engines on, and from how many, an outage is the fleet's: so many rarely die by chance."""

HOST_SHARE = 0.5
HOST_LEAST = 2
"""The same for a host, of its own engines."""


class Scope(StrEnum):
    """What an outage seems to be."""

    NONE = "none"
    ENGINE = "engine"
    ENGINES = "engines"
    HOST = "host"
    FLEET = "fleet"
    PROBER = "prober"


@dataclass(frozen=True, slots=True)
class Outage:
    """An engine that is down: its game, the host it runs on, and for how many seconds, where that is known."""

    game_id: str
    host: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """So many `shards` of all the shards that there are are watched here."""

    shards: int
    of: int

    @property
    def is_whole(self) -> bool:
        return self.shards == self.of


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`told` is one sentence for whoever is woken by it."""

    scope: Scope
    told: str


def diagnosis(
    games: int,
    on_host: Mapping[str, int],
    outages: Sequence[Outage],
    prober_trouble: str | None = None,
    *,
    failing: int = 0,
    unknown: int = 0,
    part: Part | None = None,
) -> Diagnosis:
    """What is the matter with a fleet of so many games, so many of them on each host, of which these are down.

    `failing` are those that failed lately and are not down, `unknown` those that were not asked yet. Where others watch
    the rest, it is told which `part` of the fleet that is: elsewhere more may be down.

    Where the prober itself is in trouble that is told first: then nothing it says of engines is worth much.

    >>> diagnosis(3, {"a": 2, "b": 1}, []).told
    'All 3 engines answer.'
    >>> diagnosis(3, {"a": 2, "b": 1}, [Outage("chess-1", "a", 252.0)]).told
    '1 of 3 engines is down: chess-1, for 4m12s.'
    >>> diagnosis(3, {"a": 2, "b": 1}, [], part=Part(86, 256)).told
    'All 3 engines answer; watched here are 86 of 256 shards.'
    >>> diagnosis(3, {"a": 2, "b": 1}, [Outage("chess-1", "a"), Outage("chess-2", "a")]).scope
    <Scope.HOST: 'host'>
    """
    if prober_trouble is not None:
        return Diagnosis(Scope.PROBER, f"The prober itself is in trouble: {prober_trouble}.")
    if not games and part is not None and not part.is_whole:
        return Diagnosis(Scope.NONE, f"No game is in the {part.shards} of {part.of} shards that are watched here.")
    if not games:
        return Diagnosis(Scope.NONE, "No game is running.")
    found = _of_outage(games, on_host, outages) if outages else Diagnosis(Scope.NONE, _of_calm(games, failing, unknown))
    if part is not None and not part.is_whole:
        return Diagnosis(found.scope, f"{found.told[:-1]}; watched here are {part.shards} of {part.of} shards.")
    return found


def _of_calm(games: int, failing: int, unknown: int) -> str:
    if failing or unknown:
        but = [f"{failing:,} failed lately"] * bool(failing) + [f"{unknown:,} not asked yet"] * bool(unknown)
        return f"No engine of {games:,} is down; {', '.join(but)}."
    return f"All {games:,} engines answer." if games > 1 else "The one engine answers."


def _of_outage(games: int, on_host: Mapping[str, int], outages: Sequence[Outage]) -> Diagnosis:
    down = len(outages)
    are_down = f"{down:,} of {games:,} engines {'is' if down == 1 else 'are'} down"
    longest = max(outages, key=lambda outage: outage.seconds or 0.0)
    lasting = "" if longest.seconds is None else f" for {two_units(longest.seconds)}"
    if down == 1:
        since = f",{lasting}" if lasting else ""
        return Diagnosis(Scope.ENGINE, f"{are_down}: {longest.game_id}{since}.")
    host, on_this = Counter(outage.host for outage in outages).most_common(1)[0]
    is_the_host_s = on_this >= HOST_LEAST and on_this >= HOST_SHARE * on_host.get(host, on_this)
    if on_this == down and is_the_host_s and len(on_host) > 1:
        return Diagnosis(Scope.HOST, f"{are_down}, all of them on {host}{_at_longest(lasting)}.")
    if down >= FLEET_LEAST and down >= FLEET_SHARE * games:
        advice = "look at what they share: the network between, or this prober"
        return Diagnosis(Scope.FLEET, f"{are_down}{_at_longest(lasting)}; {advice}.")
    return Diagnosis(Scope.ENGINES, f"{are_down}, {longest.game_id} the longest{',' + lasting if lasting else ''}.")


def _at_longest(lasting: str) -> str:
    return f",{lasting} at most" if lasting else ""
