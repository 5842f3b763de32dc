"""The documents of the API. The OpenAPI document is made from these classes and their docstrings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Document(msgspec.Struct):
    """Times are RFC 3339 in UTC. Fields that end in `_s` are seconds, fields with `_ms` milliseconds."""


class Error(Document):
    """Why the request failed, in one line."""

    error: str


class Health(Document):
    """The health of the prober itself. `trouble` says what is wrong with it; null if nothing is."""

    well: bool
    trouble: str | None


class Outage(Document):
    game_id: str
    host: str
    down_s: float | None


class Publisher(Document):
    """`lag` counts the events that are not delivered to it yet, `parked` those that it refused for good.

    `error` says why delivery fails now; null if it works.
    """

    name: str
    lag: int
    parked: int
    error: str | None = None


class SetAside(Document):
    """A game whose values the log cannot hold, so that nothing about it enters the log. `error` says why.

    `event_type` is what waits to be written, null if the log cannot even look up the game's id.
    """

    game_id: str
    error: str
    event_type: str | None


class Prober(Document):
    """Settings and figures of the prober itself. `blind_s` is how long no canary has answered, `log_away_s` how long
    the log has been unavailable, `longest_wait_s` how long the oldest transition has waited for it, `decisions_held`
    the number of probe_failed held in a mass failure. `games_set_aside` counts the games that the log cannot hold, of
    which `set_aside` has the first hundred. `shards` is null if the prober does not share the fleet, `instances` if it
    is not in a cluster.
    """

    version: str
    started_at: datetime
    trouble: str | None
    interval_s: float
    timeout_s: float
    failures: int
    tick_overdue_s: float
    log_away_s: float
    transitions_waiting: int
    longest_wait_s: float
    games_set_aside: int
    set_aside: list[SetAside]
    blind_s: float
    decisions_held: int
    games_flapping: int
    games_silenced: int
    lanes_in_use: int
    lane_limit: int
    connections: int
    connection_limit: int
    probes: int
    ticks_dropped: int
    listing_errors: int
    inconclusive: dict[str, int]
    lateness_ms_p50: float | None
    lateness_ms_p99: float | None
    latency_ms_p50: float | None
    latency_ms_p99: float | None
    shards: int | None
    instances: int | None


class Takeover(Document):
    """Shards that were taken over together. `cause` is `start`, `handed over` or `expired`."""

    at: datetime
    shards: int
    cause: str


class Instance(Document):
    """An instance of a cluster, as it describes itself. Renewals are the ages of the oldest and the newest renewal of
    its leases. The instance with the duty `relay` delivers to the publishers; for a `blind` one no canary answers.
    """

    instance: str
    host: str
    pid: int
    started_at: datetime
    shards: list[int]
    games: int
    duties: list[str]
    blind: bool
    oldest_renewal_s: float | None
    newest_renewal_s: float | None
    last_takeover: Takeover | None


class Cluster(Document):
    """The instances that share the fleet, as this instance knows them; it last heard of the others `silent_s` ago.

    `unwatched` is the number of `shards` that no instance holds.
    """

    shards: int
    unwatched: int
    silent_s: float
    instances: list[Instance]


class Silence(Document):
    """Holds back the alarms of the games that meet all its conditions, until `ends_at`: the game is one of `games`, its
    engine is on `host`, its labels have these values. An empty condition is none. `who` made it and `why` are notes.
    """

    id: str
    games: list[str]
    host: str
    labels: dict[str, str]
    who: str
    why: str
    created_at: datetime | None
    ends_at: datetime


class Silences(Document):
    """The silences of the log that are in force, those that end first at first."""

    silences: list[Silence]


class UnknownGame(Document):
    """A game that was probed without a conclusive outcome for `unknown_s`; `error` is why."""

    game_id: str
    host: str
    unknown_s: float
    error: str


class Fleet(Document):
    """The fleet in one sentence, `summary`, and in numbers. `scope` is what an outage seems to affect.

    `silences` has the first hundred that are in force, `unknown_games` the first hundred of the games that were probed
    and of which nothing is known.
    """

    at: datetime
    summary: str
    scope: str
    games: int
    down: int
    failing: int
    unknown: int
    healthy: int
    longest: Outage | None
    prober: Prober
    publishers: list[Publisher]
    silences: list[Silence] = []
    unknown_games: list[UnknownGame] = []


class Game(Document):
    """`down_s` is null if the game is not down, or if its incident began before what the log still has. Its alarms are
    silenced until `silenced_until`, null if they are not, by `silenced_by`. A `flapping` game stays in its incident
    until it is steady. `unobserved_s` is for how long no probe has had a conclusive outcome, because of
    `unobserved_why`, which is empty before the first probe; null where the last one had.
    """

    game_id: str
    container_id: str
    engine_endpoint: str
    host: str
    state: str
    consecutive_failures: int
    down_s: float | None
    silenced_until: datetime | None
    silenced_why: str
    silenced_by: str
    flapping: bool
    labels: dict[str, str] = {}
    unobserved_s: float | None = None
    unobserved_why: str = ""


class Games(Document):
    total: int
    page: int
    pages: int
    games: list[Game]


class Outcome(Document):
    """`outcome` is `healthy`, `inconclusive`, or the kind of the failure. A failure has no duration."""

    outcome: str
    duration_ms: float | None


class Incident(Document):
    """`recovered_at` is null if the game has not recovered; `gone_at` is when it was known to run no more, or null.
    `silenced_until` is until when the alarms of an open one are silenced, null if they are not, or not known here.

    `labels` are those that the game had when the incident began.
    """

    game_id: str
    container_id: str
    open: bool
    failed_at: datetime
    recovered_at: datetime | None
    duration_s: float
    last_status: int
    last_error: str
    gone_at: datetime | None = None
    silenced_until: datetime | None = None
    labels: dict[str, str] = {}


class GameDetails(Document):
    """One game with its last outcomes, the oldest first, and its incidents, the newest first."""

    game: Game
    explanation: str
    last_status: int | None
    last_error: str | None
    outcomes: list[Outcome]
    incidents: list[Incident]


class PartOfTime(Document):
    """A part of the time, of which nobody watched `unwatched_s`, which never counts as up."""

    since: datetime
    up_s: float
    down_s: float
    unwatched_s: float


class GameAvailability(Document):
    """The last 30 days of one game, or less where the log has too many events, in all and in 30 equal parts.

    `mttr_s` is the mean length of incidents that recovered, `mtbf_s` the time up per failure, `availability_percent`
    the share of the time up and down that was up; null where nothing recovered, failed or is known.
    """

    game_id: str
    since: datetime
    until: datetime
    incidents: int
    down_s: float
    longest_s: float
    mttr_s: float | None
    mtbf_s: float | None
    availability_percent: float | None
    up_s: float
    unwatched_s: float
    unwatched_percent: float
    days: list[PartOfTime]


class Incidents(Document):
    """Open incidents, the longest first, then ended ones, the newest first. `open` counts all open ones."""

    open: int
    incidents: list[Incident]


class Event(Document):
    """A health event as in docs/asyncapi.yaml, with its cursor in the log."""

    cursor: int
    event: dict[str, Any]


class Events(Document):
    """`next` is the value of `after` for the next page."""

    next: int
    events: list[Event]


class Cells(Document):
    """All games by slot: their ids, their hosts as indexes into `host_names`, their labels as indexes into
    `label_sets`, and their states as one digit each. `labels` is empty if no game has any.

    The digit is an index into `state_names`. A free slot has the id null.
    """

    version: int
    state_names: list[str]
    states: str
    ids: list[str | None]
    host_names: list[str]
    hosts: list[int]
    label_sets: list[dict[str, str]]
    labels: list[int]


class CellsDelta(Document):
    """What changed in the cells with `version`: [slot, id, host] added, slots removed, [slot, state] changed, and
    [slot, labels] of games with other labels than before, or with any where the game is new.
    """

    version: int
    added: list[tuple[int, str, str]]
    removed: list[int]
    changed: list[tuple[int, int]]
    labels: list[tuple[int, dict[str, str]]]
