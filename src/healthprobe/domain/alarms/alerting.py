"""Alerting: which alerts should be open, by what the log says of each game. Pure; `decide` is the whole rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from types import MappingProxyType

from healthprobe.domain.alarms.alert import (
    ENGINE_NOT_ANSWERING,
    ENGINE_NOT_OBSERVED,
    ENGINES_NOT_OBSERVED,
    GROUP_NOT_ANSWERING,
    Alert,
    ResolvedAlert,
)
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails

ANSWERS_AGAIN = "answers again"
OBSERVED_AGAIN = "observed again"
GONE = "game no longer runs"
"""The reasons why an alert is over."""

FEWEST_IN_A_GROUP = 3
"""The fewest games that fail together: two may be a coincidence."""

_GROWTH = 1.5

_LONGEST_KEY = 255
"""The most characters of an alert's key, as PagerDuty takes them."""

_SHORTEST_PAUSE = timedelta(seconds=1)

Group = tuple[str, str]
"""A label and the value that games have in common."""


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An incident that is open in the log, and what is known of its game.

    `since` is when it began, by this instance's clock: never later than now. Labels have `game_id` and `host` as well.
    `is_listed` says whether the game is in the last listing, `is_gone` that it is in none of the last ones.
    """

    failed: HealthEvent
    since: datetime
    labels: Mapping[str, str]
    is_listed: bool = True
    is_gone: bool = False

    @property
    def game_id(self) -> str:
        return self.failed.game_id


@dataclass(frozen=True, slots=True)
class GroupRule:
    """Games are grouped by the value of `label`; without one each game has its own alert.

    `wait` is how long after a failure its alert waits for others of its group.
    """

    label: str | None = "host"
    wait: timedelta = timedelta(seconds=10)

    def group_of(self, incident: OpenIncident) -> Group | None:
        value = incident.labels.get(self.label) if self.label is not None else None
        return (self.label, value) if self.label is not None and value else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedAlert:
    """An alert as it was decided: of one game, or of a `group`.

    `members` are the games that do not answer, each with the sequence of its `probe_failed`; of an alert that is over
    those that it had last. `changed_at` is when they last changed. `resolved_at` is None while it is open.
    `is_not_observed` is whether nothing is known of its games; their sequences are no events' then.
    """

    key: str
    labels: Mapping[str, str]
    last_error: str
    started_at: datetime
    changed_at: datetime
    members: Mapping[str, int]
    group: Group | None = None
    group_size: int | None = None
    resolved_at: datetime | None = None
    reason: str = ""
    is_not_observed: bool = False

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None

    def alert(self, severity: str) -> Alert:
        """Returns it as alerters get it."""
        games = tuple(sorted(self.members))
        names = (ENGINE_NOT_ANSWERING, GROUP_NOT_ANSWERING)
        if self.is_not_observed:
            names = (ENGINE_NOT_OBSERVED, ENGINES_NOT_OBSERVED)
        if self.group is None:
            what = "is not observed" if self.is_not_observed else "has stopped answering"
            summary = f"{games[0]} {what}: {self.last_error}"
        else:
            label, value = self.group
            of = f"{len(games)} of {self.group_size}" if self.group_size else f"{len(games)}"
            what = "are not observed" if self.is_not_observed else "have stopped answering"
            summary = f"{of} games of {label} {value} {what}: {self.last_error}"
        return Alert(
            key=self.key,
            name=names[0] if self.group is None else names[1],
            labels=self.labels,
            summary=summary,
            last_error=self.last_error,
            started_at=self.started_at,
            game_ids=games,
            group_size=self.group_size,
            group=self.group,
            severity=severity,
        )

    def resolved(self, severity: str) -> ResolvedAlert:
        """Returns it as alerters get it when it is over."""
        assert self.resolved_at is not None
        return ResolvedAlert(alert=self.alert(severity), resolved_at=self.resolved_at, reason=self.reason)


@dataclass(frozen=True, slots=True)
class Decision:
    """The alerts that are open or over by now, by key, and when `decide` may find something new without an event."""

    alerts: Mapping[str, DecidedAlert]
    look_again_at: datetime | None = None


@dataclass(slots=True)
class _Waiting:
    """When to look again: the earliest of several times."""

    at: datetime | None = None

    def until(self, instant: datetime) -> None:
        self.at = instant if self.at is None else min(self.at, instant)


def alert_key(identity: str, *parts: str) -> str:
    """Returns the key of an alert, of at most 255 characters.

    >>> alert_key("a1b2", "game-7:3")
    'a1b2/game-7:3'
    """
    key = "/".join([identity, *parts])
    if len(key) <= _LONGEST_KEY and key.isprintable():
        return key
    return f"{identity[:100]}/{sha256(key.encode(errors='surrogatepass')).hexdigest()}"


def is_worth_a_message(sent: int, games: int) -> bool:
    """Returns whether people who know of `sent` games get a message about `games`: half as many more, or yet more.

    >>> [games for games in range(12, 30) if is_worth_a_message(12, games)][0], is_worth_a_message(12, 11)
    (18, False)
    """
    return games >= sent * _GROWTH


def groups_to_count(
    before: Mapping[str, DecidedAlert], incidents: Mapping[str, OpenIncident], rule: GroupRule
) -> set[Group]:
    """Returns the groups whose numbers of games `decide` may need."""
    counts: defaultdict[Group, int] = defaultdict(int)
    for incident in incidents.values():
        if (group := rule.group_of(incident)) is not None:
            counts[group] += 1
    large = {group for group, count in counts.items() if count >= FEWEST_IN_A_GROUP}
    return large | {alert.group for alert in before.values() if alert.is_open and alert.group is not None}


def decide(
    before: Mapping[str, DecidedAlert],
    incidents: Mapping[str, OpenIncident],
    *,
    rule: GroupRule,
    identity: str,
    now: datetime,
    group_sizes: Mapping[Group, int] = MappingProxyType({}),
    is_silenced: Callable[[OpenIncident], bool] = lambda _: False,
    ended_at: Mapping[str, datetime] = MappingProxyType({}),
    ended_as_gone: Collection[str] = (),
) -> Decision:
    """Returns the alerts that should be open, and those that are over, by the incidents that are open in the log.

    An incident that no alert has yet waits for `rule.wait`. When the first of a group has waited, and at least three
    games and at least half of the group wait, they get one alert; what fails in the group while it is open joins it.
    Others get an alert each. The members of a group change once in `rule.wait` at most, so that there is no flood of
    updates. An alert is over when none of its incidents is open, or its games are gone; it stays among the alerts, and
    fires again if its incident goes on because its game is listed again. The caller removes what all alerters got.

    Silences hold back new alerts and new members only. `group_sizes` are the numbers of listed games of
    `groups_to_count`; `ended_at` is when incidents ended, by game, where that is known, and `ended_as_gone` are the
    games of those that ended because their game no longer runs.
    """
    alerts, waiting = dict(before), _Waiting()
    untold: defaultdict[Group | None, list[OpenIncident]] = defaultdict(list)
    for incident in _untold(before.values(), incidents.values(), is_silenced):
        untold[rule.group_of(incident)].append(incident)
    for key, alert in before.items():
        if alert.resolved_at is None and not (alert.group is None and _all_last(incidents, alert)):
            joining = untold.pop(alert.group, []) if alert.group is not None else []
            members = {
                **{game: number for game, number in alert.members.items() if _lasts(incidents, game, number)},
                **{each.game_id: each.failed.sequence for each in joining},
            }
            changes_at = alert.changed_at + max(rule.wait, _SHORTEST_PAUSE)
            if not members:
                alerts[key] = _over(alert, incidents, ended_at, ended_as_gone, now)
            elif members != alert.members and alert.changed_at <= now < changes_at:  # not after now: a clock set back
                waiting.until(changes_at)
            elif members != alert.members:
                size = None if alert.group is None else max(group_sizes.get(alert.group, 0), len(members))
                alerts[key] = replace(alert, members=members, group_size=size, changed_at=now)
    for group, found in untold.items():
        due = [incident for incident in found if incident.since + rule.wait <= now]
        size = 0 if group is None else group_sizes.get(group, 0)
        if due and group is not None and len(found) >= max(FEWEST_IN_A_GROUP, size / 2):
            new = [_of_group(group, found, max(size, len(found)), identity, now)]
        else:
            new = [_of_game(incident, identity, now) for incident in due]
            for incident in found[len(due) :]:
                waiting.until(incident.since + rule.wait)
        alerts.update((each.key, each) for each in new)
    return Decision(alerts, waiting.at)


def _untold(
    alerts: Iterable[DecidedAlert], incidents: Iterable[OpenIncident], is_silenced: Callable[[OpenIncident], bool]
) -> list[OpenIncident]:
    """Returns the incidents that no alert has and that may be sent, those that began first at first."""
    sent = {member for alert in alerts if alert.is_open for member in alert.members.items()}
    found = [
        each
        for each in incidents
        if each.is_listed
        and not each.is_gone
        and (each.game_id, each.failed.sequence) not in sent
        and not is_silenced(each)
    ]
    return sorted(found, key=lambda each: (each.since, each.game_id))


def _all_last(incidents: Mapping[str, OpenIncident], alert: DecidedAlert) -> bool:
    return all(_lasts(incidents, game_id, sequence) for game_id, sequence in alert.members.items())


def _lasts(incidents: Mapping[str, OpenIncident], game_id: str, sequence: int) -> bool:
    incident = incidents.get(game_id)
    return incident is not None and incident.failed.sequence == sequence and not incident.is_gone


def _over(
    alert: DecidedAlert,
    incidents: Mapping[str, OpenIncident],
    ended_at: Mapping[str, datetime],
    ended_as_gone: Collection[str],
    now: datetime,
) -> DecidedAlert:
    """Returns the alert as over since its last incident ended, or since now where that is not known."""
    is_gone = all(
        game_id in ended_as_gone or (game_id in incidents and incidents[game_id].failed.sequence == sequence)
        for game_id, sequence in alert.members.items()
    )
    ends = [ended_at.get(game_id, now) for game_id in alert.members]
    return replace(
        alert,
        resolved_at=max(alert.started_at, *ends),
        reason=GONE if is_gone else OBSERVED_AGAIN if alert.is_not_observed else ANSWERS_AGAIN,
    )


def _of_game(incident: OpenIncident, identity: str, now: datetime) -> DecidedAlert:
    return DecidedAlert(
        key=alert_key(identity, incident.failed.id),
        labels=dict(incident.labels),
        last_error=_last_error(incident),
        started_at=incident.failed.occurred_at,
        changed_at=now,
        members={incident.game_id: incident.failed.sequence},
    )


def _of_group(
    group: Group, incidents: Collection[OpenIncident], size: int, identity: str, now: datetime
) -> DecidedAlert:
    first = min(incidents, key=lambda each: (each.failed.occurred_at, each.game_id))
    return DecidedAlert(
        key=alert_key(identity, "=".join(group), first.failed.id),
        labels={**_in_common(each.labels for each in incidents), group[0]: group[1]},
        last_error=_last_error(first),
        started_at=first.failed.occurred_at,
        changed_at=now,
        members={each.game_id: each.failed.sequence for each in incidents},
        group=group,
        group_size=size,
    )


def _in_common(labels: Iterable[Mapping[str, str]]) -> dict[str, str]:
    first, *others = labels
    return {name: value for name, value in first.items() if all(each.get(name) == value for each in others)}


def _last_error(incident: OpenIncident) -> str:
    details = incident.failed.details
    return details.last_error if isinstance(details, ProbeFailedDetails) else ""
