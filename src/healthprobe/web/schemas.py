"""The documents that the API answers with. What is here is what the OpenAPI document says."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Document(msgspec.Struct):
    """Times are RFC 3339 in UTC, fields that end in `_s` are seconds, those in `_ms` milliseconds."""


class Trouble(Document):
    """Why there is no other answer."""

    error: str


class Health(Document):
    """The prober's own: `trouble` says what is the matter with it, or nothing."""

    well: bool
    trouble: str | None


class Outage(Document):
    game_id: str
    host: str
    down_s: float | None


class Publisher(Document):
    """`lag` is how many events of the log have not reached it, `parked` how many it has refused for good."""

    name: str
    lag: int
    parked: int


class Prober(Document):
    """How the prober itself does. `blind_s` is for how long no canary answers, `decisions_held` how many probe_failed
    of a mass failure wait to be proven. `shards` is null where it shares the fleet with nobody, `instances` where it is
    in no cluster.
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


class TakenOver(Document):
    """So many shards were taken over together; `cause` is `start`, `handed over` or `expired`."""

    at: datetime
    shards: int
    cause: str


class Instance(Document):
    """What an instance of a cluster tells of itself. Renewals are the ages of the oldest and the newest renewal of its
    leases. One with the duty `relay` delivers to the publishers; a `blind` one hears no canary.
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
    last_takeover: TakenOver | None


class Cluster(Document):
    """The instances that share the fleet, as this one knows them: it has heard nothing of the others for `silent_s`.

    Of all `shards`, `unwatched` are held by none.
    """

    shards: int
    unwatched: int
    silent_s: float
    instances: list[Instance]


class Fleet(Document):
    """The fleet in a sentence, and in numbers. `scope` is what an outage seems to be: the whole word is in `told`."""

    at: datetime
    told: str
    scope: str
    games: int
    down: int
    failing: int
    unknown: int
    healthy: int
    longest: Outage | None
    prober: Prober
    publishers: list[Publisher]


class Game(Document):
    """`down_s` is for how long it is down, null where it is not, or where the log does not tell. Until `silenced_until`
    nothing of it is told; null where it is not silenced. A `flapping` one is kept in its incident until it is steady.
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
    flapping: bool


class Games(Document):
    total: int
    page: int
    pages: int
    games: list[Game]


class Outcome(Document):
    """`healthy`, `inconclusive`, or the kind of the failure. A failure has no duration."""

    outcome: str
    duration_ms: float | None


class Incident(Document):
    game_id: str
    container_id: str
    open: bool
    failed_at: datetime
    recovered_at: datetime | None
    duration_s: float
    last_status: int
    last_error: str


class GameDetails(Document):
    """One game with what its last probes gave, the oldest first, and its incidents, the newest first."""

    game: Game
    explanation: str
    last_status: int | None
    last_error: str | None
    outcomes: list[Outcome]
    incidents: list[Incident]


class Incidents(Document):
    """Open ones the longest first, then those that ended, the newest first."""

    open: int
    incidents: list[Incident]


class Event(Document):
    """A health event as docs/asyncapi.yaml has it, with its cursor in the log."""

    cursor: int
    event: dict[str, Any]


class Events(Document):
    """`next` is the `after` of the next page."""

    next: int
    events: list[Event]


class Cells(Document):
    """All games by their places: ids and hosts (as places in `host_names`), and a digit of state each.

    An empty place has the id null. The digit is the place of the state in `state_names`.
    """

    version: int
    state_names: list[str]
    states: str
    ids: list[str | None]
    host_names: list[str]
    hosts: list[int]


class CellsDelta(Document):
    """What changed in the cells with `version`: [place, id, host] of who came, empty places, [place, state]."""

    version: int
    came: list[tuple[int, str, str]]
    left: list[int]
    turned: list[tuple[int, int]]
