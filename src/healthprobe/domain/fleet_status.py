"""The status of a fleet: the condition of each game, and a diagnosis: is an engine, a host or the prober at fault?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from healthprobe._util.duration import two_units
from healthprobe.domain.hysteresis import GameState


class Condition(StrEnum):
    """The condition of a game, the most urgent first."""

    DOWN = "down"
    """In an incident: its last event is a `probe_failed`, or one is pending."""

    FAILING = "failing"
    """Its last probes failed, fewer in a row than make an incident."""

    UNKNOWN = "unknown"
    """Nothing is known of it: there is no conclusive outcome yet, or none in the last `failures` intervals."""

    HEALTHY = "healthy"


def game_condition(state: GameState | None, *, is_unknown: bool) -> Condition:
    """Returns the condition of a game with this state; `is_unknown` says whether nothing is known of it by now.

    An incident stays open while nothing is known.

    >>> game_condition(None, is_unknown=False)
    <Condition.HEALTHY: 'healthy'>
    >>> game_condition(None, is_unknown=True)
    <Condition.UNKNOWN: 'unknown'>
    """
    if state is not None and state.in_incident:
        return Condition.DOWN
    if is_unknown:
        return Condition.UNKNOWN
    return Condition.FAILING if state is not None and state.consecutive_failures else Condition.HEALTHY


FLEET_SHARE = 0.5
FLEET_MINIMUM = 5
"""The share and the number of engines down from which an outage is the fleet's: so many rarely die by chance."""

HOST_SHARE = 0.5
HOST_MINIMUM = 2
"""The same for the engines of one host."""


class Scope(StrEnum):
    """What seems to be affected by an outage."""

    NONE = "none"
    ENGINE = "engine"
    ENGINES = "engines"
    HOST = "host"
    FLEET = "fleet"
    PROBER = "prober"


@dataclass(frozen=True, slots=True)
class Outage:
    """An engine that is down, the host it runs on, and for how many seconds it has been down, or None if unknown."""

    game_id: str
    host: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The games of which nothing is known: how many, and why, of one of them that was probed.

    `game_id` and `cause` are empty where none of them was probed yet.
    """

    games: int = 0
    game_id: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class WatchedShards:
    """How many shards of all `shard_count` this instance watches."""

    shards: int
    shard_count: int


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong with a fleet; `summary` is one sentence for the person on call."""

    scope: Scope
    summary: str


NOTHING_UNKNOWN = Unknown()


def diagnose(
    games: int,
    games_by_host: Mapping[str, int],
    outages: Sequence[Outage],
    prober_trouble: str | None = None,
    *,
    failing: int = 0,
    unknown: Unknown = NOTHING_UNKNOWN,
    watched: WatchedShards | None = None,
) -> Diagnosis:
    """Returns the diagnosis of a fleet: its number of games, in all and per host, and the engines that are down.

    `failing` counts the games that failed lately and are not down. `watched` is given where other instances watch the
    rest of the fleet, in which more engines may be down. Trouble of the prober itself comes first, because then its
    other findings mean little.

    >>> diagnose(3, {"a": 2, "b": 1}, []).summary
    'All 3 engines answer.'
    >>> diagnose(3, {"a": 2, "b": 1}, [Outage("chess-1", "a", 252.0)]).summary
    '1 of 3 engines is down: chess-1, for 4m12s.'
    >>> diagnose(3, {"a": 2, "b": 1}, [], unknown=Unknown(1, "chess-1", "no free local port")).summary
    'No engine of 3 is down; nothing is known of 1: chess-1, no free local port.'
    >>> diagnose(3, {"a": 2, "b": 1}, [], watched=WatchedShards(86, 256)).summary
    'All 3 engines answer; watched here are 86 of 256 shards.'
    >>> diagnose(3, {"a": 2, "b": 1}, [Outage("chess-1", "a"), Outage("chess-2", "a")]).scope
    <Scope.HOST: 'host'>
    """
    if prober_trouble is not None:
        return Diagnosis(Scope.PROBER, f"The prober itself is in trouble: {prober_trouble}.")
    is_part = watched is not None and watched.shards != watched.shard_count
    watched_here = f"{watched.shards} of {watched.shard_count} shards" if watched is not None else ""
    if not games:
        return Diagnosis(
            Scope.NONE, f"No game is in the {watched_here} that are watched here." if is_part else "No game is running."
        )
    found = _diagnose_outages(games, games_by_host, outages)
    if found is None:
        found = Diagnosis(Scope.NONE, _summarize_without_outage(games, failing, unknown))
    elif unknown.cause:
        found = Diagnosis(found.scope, f"{found.summary[:-1]}; {_summarize_unknown(unknown)}.")
    return Diagnosis(found.scope, f"{found.summary[:-1]}; watched here are {watched_here}.") if is_part else found


def _summarize_without_outage(games: int, failing: int, unknown: Unknown) -> str:
    if failing or unknown.games:
        but = [f"{failing:,} failed lately"] * bool(failing) + [_summarize_unknown(unknown)] * bool(unknown.games)
        return f"No engine of {games:,} is down; {', '.join(but)}."
    return f"All {games:,} engines answer." if games > 1 else "The one engine answers."


def _summarize_unknown(unknown: Unknown) -> str:
    if not unknown.cause:
        return f"{unknown.games:,} not probed yet"
    example = f"{unknown.game_id} among them" if unknown.games > 1 else unknown.game_id
    return f"nothing is known of {unknown.games:,}: {example}, {unknown.cause}"


def _diagnose_outages(games: int, games_by_host: Mapping[str, int], outages: Sequence[Outage]) -> Diagnosis | None:
    if not outages:
        return None
    down = len(outages)
    are_down = f"{down:,} of {games:,} engines {'is' if down == 1 else 'are'} down"
    longest = max(outages, key=lambda outage: outage.seconds or 0.0)
    lasting = "" if longest.seconds is None else f", for {two_units(longest.seconds)}"
    at_most = f"{lasting} at most" if lasting else ""
    if down == 1:
        return Diagnosis(Scope.ENGINE, f"{are_down}: {longest.game_id}{lasting}.")
    host, on_host = Counter(outage.host for outage in outages).most_common(1)[0]
    is_host = on_host >= HOST_MINIMUM and on_host >= HOST_SHARE * games_by_host.get(host, on_host)
    if on_host == down and is_host and len(games_by_host) > 1:
        return Diagnosis(Scope.HOST, f"{are_down}, all of them on {host}{at_most}.")
    if down >= FLEET_MINIMUM and down >= FLEET_SHARE * games:
        advice = "look at what they share: the network between, or this prober"
        return Diagnosis(Scope.FLEET, f"{are_down}{at_most}; {advice}.")
    return Diagnosis(Scope.ENGINES, f"{are_down}, {longest.game_id} the longest{lasting}.")
