"""Alerting, told as stories: what fails together is one alert, what fails alone its own, and nothing is left open."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as some

from healthprobe.domain.alarms.alerting import (
    ANSWERS_AGAIN,
    GONE,
    DecidedAlert,
    Group,
    GroupRule,
    OpenIncident,
    alert_key,
    decide,
    groups_to_count,
)
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails

START = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Story:
    """Ten games `a0` to `a9` on host h1 and three, `b0` to `b2`, on h2, with an hour that tests let pass."""

    def __init__(self, wait: float = 10.0, label: str | None = "host", identity: str = "log-1") -> None:
        self.rule = GroupRule(label, timedelta(seconds=wait))
        self.identity = identity
        self.now = START
        self.alerts: Mapping[str, DecidedAlert] = {}
        self.labels = {
            **{f"a{number}": {"game_id": f"a{number}", "host": "h1"} for number in range(10)},
            **{f"b{number}": {"game_id": f"b{number}", "host": "h2"} for number in range(3)},
        }
        self.failing: dict[str, tuple[int, datetime]] = {}
        self.sequences: dict[str, int] = {}
        self.ended_at: dict[str, datetime] = {}
        self.silenced: set[str] = set()
        self.unlisted: set[str] = set()
        self.gone: set[str] = set()
        self.look_again_at: datetime | None = None

    def fail(self, *games: str) -> None:
        for game in games:
            if game not in self.failing:
                self.sequences[game] = self.sequences.get(game, -1) + 2
                self.failing[game] = (self.sequences[game], self.now)

    def recover(self, *games: str) -> None:
        for game in games:
            if self.failing.pop(game, None):
                self.ended_at[game] = self.now

    def incidents(self) -> dict[str, OpenIncident]:
        return {
            game: OpenIncident(
                HealthEvent(sequence, game, "c1", since, ProbeFailedDetails(3, 503, f"{game} is broken")),
                since,
                self.labels[game],
                is_listed=game not in self.unlisted | self.gone,
                is_gone=game in self.gone,
            )
            for game, (sequence, since) in self.failing.items()
        }

    def sizes(self, incidents: Mapping[str, OpenIncident]) -> dict[Group, int]:
        groups = groups_to_count(self.alerts, incidents, self.rule)
        return {
            (name, value): sum(labels.get(name) == value for labels in self.labels.values()) for name, value in groups
        }

    def after(self, seconds: float) -> Story:
        """Lets time pass, and looks at the end."""
        self.now += timedelta(seconds=seconds)
        incidents = self.incidents()
        decision = decide(
            self.alerts,
            incidents,
            rule=self.rule,
            identity=self.identity,
            now=self.now,
            group_sizes=self.sizes(incidents),
            is_silenced=lambda incident: incident.game_id in self.silenced,
            ended_at=self.ended_at,
        )
        self.alerts, self.look_again_at = decision.alerts, decision.look_again_at
        return self

    @property
    def open(self) -> list[str]:
        """The games of each open alert, in one text."""
        return sorted(" ".join(sorted(alert.members)) for alert in self.alerts.values() if alert.is_open)

    @property
    def only(self) -> DecidedAlert:
        [alert] = self.alerts.values()
        return alert


def test_a_game_that_fails_alone_has_its_own_alert_after_the_wait() -> None:
    story = Story()
    story.fail("a1")
    assert story.after(0).open == []
    assert story.look_again_at == START + timedelta(seconds=10)
    assert story.after(9.9).open == []
    assert story.after(0.1).open == ["a1"]
    alert = story.only.alert("critical")
    assert (alert.key, alert.name, alert.group_size) == ("log-1/a1:1", "EngineNotAnswering", None)
    assert (alert.summary, alert.started_at) == ("a1 has stopped answering: a1 is broken", START)


def test_half_of_a_host_is_one_alert_with_how_many_of_how_many_and_the_names() -> None:
    story = Story()
    story.fail("a3")
    story.after(4).fail("a1", "a2", "a4")
    story.after(5).fail("a5")
    assert story.after(1).open == ["a1 a2 a3 a4 a5"]
    alert = story.only.alert("critical")
    assert (alert.key, alert.name) == ("log-1/host=h1/a3:1", "EnginesNotAnswering")
    assert alert.labels == {"host": "h1"}
    assert alert.summary == "5 of 10 games of host h1 have stopped answering: a3 is broken"
    assert (alert.game_ids, alert.group_size) == (("a1", "a2", "a3", "a4", "a5"), 10)


def test_less_than_half_of_a_host_are_alerts_of_their_own() -> None:
    story = Story()
    story.fail("a1", "a2", "a3", "a4")
    assert story.after(10).open == ["a1", "a2", "a3", "a4"]


def test_two_of_two_are_no_group() -> None:
    story = Story()
    del story.labels["b2"]
    story.fail("b0", "b1")
    assert story.after(10).open == ["b0", "b1"]


def test_three_of_three_are_a_group() -> None:
    story = Story()
    story.fail("b0", "b1", "b2")
    assert story.after(10).open == ["b0 b1 b2"]


def test_games_that_failed_long_before_do_not_make_a_group() -> None:
    story = Story()
    story.fail("b0", "b1")
    story.after(60).fail("b2")
    assert story.after(10).open == ["b0", "b1", "b2"]


def test_what_fails_later_joins_the_group_that_is_open_once_in_the_wait() -> None:
    story = Story()
    story.fail("b0", "b1", "b2")
    story.labels["b3"] = story.labels["b4"] = {"host": "h2"}
    story.after(10).fail("b3")
    assert story.after(1).open == ["b0 b1 b2"]
    story.fail("b4")
    assert story.look_again_at == story.now + timedelta(seconds=9)
    assert story.after(8).open == ["b0 b1 b2"]
    assert story.after(1).open == ["b0 b1 b2 b3 b4"]
    assert story.only.group_size == 5
    assert story.only.key == "log-1/host=h2/b0:1"


def test_a_group_is_over_when_the_last_has_recovered() -> None:
    story = Story()
    story.fail("b0", "b1", "b2")
    story.after(10).recover("b0")
    assert story.after(1).open == ["b0 b1 b2"]
    assert story.after(9).open == ["b1 b2"]
    story.recover("b2")
    last = story.after(5).now
    story.recover("b1")
    assert story.after(1).open == []
    assert (story.only.resolved_at, story.only.reason) == (last, ANSWERS_AGAIN)


def test_without_a_wait_only_what_fails_in_one_moment_is_a_group() -> None:
    story = Story(wait=0)
    story.fail("b0", "b1", "b2", "a1")
    assert story.after(0).open == ["a1", "b0 b1 b2"]


def test_without_groups_each_game_has_its_own_alert() -> None:
    story = Story(label=None)
    story.fail("b0", "b1", "b2")
    assert story.after(10).open == ["b0", "b1", "b2"]


def test_a_label_can_be_what_a_group_has_in_common() -> None:
    story = Story(label="region")
    for game in ("a1", "a2", "b1"):
        story.labels[game] = {**story.labels[game], "region": "eu"}
    story.fail("a1", "a2", "b1", "b2")
    assert story.after(10).open == ["a1 a2 b1", "b2"]
    assert [alert.labels for alert in story.alerts.values() if alert.group] == [{"region": "eu"}]


def test_a_silenced_game_has_no_alert_until_its_silence_ends_and_counts_for_no_group() -> None:
    story = Story()
    story.silenced = {"b0"}
    story.fail("b0", "b1", "b2")
    assert story.after(60).open == ["b1", "b2"]
    story.silenced.clear()
    assert story.after(0).open == ["b0", "b1", "b2"]


def test_what_was_told_stays_told_when_it_is_silenced() -> None:
    story = Story()
    story.fail("b0")
    story.after(10).silenced = {"b0"}
    assert story.after(60).open == ["b0"]
    story.recover("b0")
    assert story.after(0).open == []


def test_a_game_that_is_gone_ends_its_alert_and_the_same_alert_fires_again_if_it_comes_back_failing() -> None:
    story = Story()
    story.fail("b0")
    story.after(10).unlisted = {"b0"}
    assert story.after(10).open == ["b0"]
    story.gone = {"b0"}
    assert story.after(5).open == []
    assert (story.only.reason, story.only.resolved_at) == (GONE, story.now)
    story.gone, story.unlisted = set(), set()
    assert story.after(1).open == ["b0"]
    assert story.only.key == "log-1/b0:1"


def test_a_game_that_is_not_listed_gets_no_new_alert() -> None:
    story = Story()
    story.unlisted = {"b0"}
    story.fail("b0")
    assert story.after(60).open == []
    story.unlisted = set()
    assert story.after(0).open == ["b0"]


def test_the_next_incident_of_a_game_is_another_alert() -> None:
    story = Story()
    story.fail("b0")
    story.after(10).recover("b0")
    story.after(1).fail("b0")
    story.after(10)
    assert {key: alert.is_open for key, alert in story.alerts.items()} == {"log-1/b0:1": False, "log-1/b0:3": True}


def test_an_incident_that_was_over_and_back_between_two_looks_is_another_alert() -> None:
    story = Story()
    story.fail("b0")
    story.after(10).recover("b0")
    story.fail("b0")
    story.after(10)
    assert {key: alert.is_open for key, alert in story.alerts.items()} == {"log-1/b0:1": False, "log-1/b0:3": True}


def test_a_key_is_short_whatever_the_game_is_called() -> None:
    keys = {alert_key("log-1", f"{name}:1") for name in ("x" * 300, "x" * 301, "line\nbreak", "🎮", "a:1")}
    assert len(keys) == 5
    assert all(len(key) <= 255 and key.isprintable() for key in keys)


GAMES = [*(f"a{number}" for number in range(10)), *(f"b{number}" for number in range(3))]
Step = tuple[str, str | float]
STEPS = some.lists(
    some.one_of(
        some.tuples(some.just("fail"), some.sampled_from(GAMES)),
        some.tuples(some.just("recover"), some.sampled_from(GAMES)),
        some.tuples(some.just("silence"), some.sampled_from(GAMES)),
        some.tuples(some.just("unlist"), some.sampled_from(GAMES)),
        some.tuples(some.just("go"), some.sampled_from(GAMES)),
        some.tuples(some.just("pass"), some.sampled_from([0.0, 1.0, 5.0, 10.0, 60.0])),
    ),
    max_size=60,
)


def play(story: Story, steps: list[Step]) -> None:
    for step, subject in steps:
        if isinstance(subject, float):
            story.after(subject)
        elif step == "fail":
            story.fail(subject)
        elif step == "recover":
            story.recover(subject)
        else:
            games = {"silence": story.silenced, "unlist": story.unlisted, "go": story.gone}[step]
            games.symmetric_difference_update({subject})


@given(STEPS, some.sampled_from([0.0, 10.0]), some.sampled_from(["host", None]))
def test_in_the_end_every_open_incident_that_may_be_told_is_in_one_open_alert(
    steps: list[Step], wait: float, label: str | None
) -> None:
    story = Story(wait, label)
    play(story, steps)
    story.after(60).after(60)
    told = [member for alert in story.alerts.values() if alert.is_open for member in alert.members.items()]
    assert len(told) == len(set(told))
    open_now = {(game, sequence) for game, (sequence, _) in story.failing.items() if game not in story.gone}
    must = {(game, number) for game, number in open_now if game not in story.silenced | story.unlisted}
    assert must <= set(told) <= open_now


@given(STEPS)
def test_looking_twice_changes_nothing(steps: list[Step]) -> None:
    story = Story()
    play(story, steps)
    once = story.after(0).alerts
    assert story.after(0).alerts == once


@given(STEPS)
def test_when_all_have_recovered_no_alert_is_open_and_each_ended_after_it_began(steps: list[Step]) -> None:
    story = Story()
    play(story, steps)
    story.recover(*GAMES)
    story.after(0)
    assert story.open == []
    assert all(
        alert.resolved_at is not None and alert.resolved_at >= alert.started_at for alert in story.alerts.values()
    )


@given(STEPS)
def test_nothing_is_decided_before_the_time_that_was_said(steps: list[Step]) -> None:
    story = Story()
    play(story, steps)
    story.after(0)
    decided, quiet = story.alerts, 3600.0
    if story.look_again_at is not None:
        quiet = (story.look_again_at - story.now) / timedelta(seconds=1) - 0.001
    assert quiet > -0.01
    assert story.after(max(quiet, 0)).alerts == decided
