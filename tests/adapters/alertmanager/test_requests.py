"""What an Alertmanager is sent: labels, annotations, times, in batches that it takes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from tests.adapters.alertmanager.managers import TAKEN, over, refused, scripted
from tests.servers.web import Answer, Asked, in_turn

from healthprobe.adapters.alertmanager.documents import VALID_FOR, firing_document, resolved_document
from healthprobe.domain.alarms.alert import GROUP_NOT_ANSWERING
from healthprobe.testing.contracts.samples import alert_of

NOW = datetime(2026, 11, 23, 17, 5, tzinfo=UTC)
BEGAN = datetime(2026, 11, 23, 17, 0, 0, 123456, UTC)
ALERT = replace(alert_of("game 7", labels={"host": "host-3", "team": "eu", "empty": ""}), started_at=BEGAN)


def test_an_alert_has_its_labels_its_beginning_and_a_link_to_its_game() -> None:
    assert firing_document(ALERT, NOW, "https://ops.example/health") == {
        "labels": {
            "alertname": "EngineNotAnswering",
            "game_id": "game 7",
            "host": "host-3",
            "severity": "critical",
            "team": "eu",
        },
        "annotations": {
            "summary": "game 7 has stopped answering",
            "last_error": "unexpected status 503",
            "since": "2026-11-23 17:00:00 UTC",
            "page": "https://ops.example/health/?game=game%207",
        },
        "startsAt": "2026-11-23T17:00:00.123456+00:00",
        "endsAt": "2026-11-24T17:05:00+00:00",
        "generatorURL": "https://ops.example/health/?game=game%207",
    }


def test_without_a_page_there_is_no_link() -> None:
    document = firing_document(ALERT, NOW, None)
    assert "generatorURL" not in document
    assert "page" not in document["annotations"]


def test_a_group_names_its_games_and_links_to_those_of_its_host_that_are_down() -> None:
    group = replace(
        ALERT, name=GROUP_NOT_ANSWERING, labels={"host": "host 3"}, game_ids=("game-1", "game-2"), group_size=3
    )
    document = firing_document(group, NOW, "https://ops.example/")
    assert document["labels"]["alertname"] == "EnginesNotAnswering"
    assert document["annotations"]["games"] == "game-1, game-2"
    assert document["generatorURL"] == "https://ops.example/?state=down&host=host%203"
    many = replace(group, game_ids=tuple(f"game-{number}" for number in range(10_000)), group_size=10_000)
    assert len(json.dumps(firing_document(many, NOW, None))) < 5000


def test_what_is_resolved_has_the_same_labels_the_reason_and_its_end() -> None:
    document = resolved_document(over(ALERT, NOW), None)
    assert document["labels"] == firing_document(ALERT, NOW, None)["labels"]
    assert (document["endsAt"], document["annotations"]["reason"]) == (NOW.isoformat(), "answers again")


def test_an_alert_never_ends_before_it_began() -> None:
    document = resolved_document(over(ALERT, BEGAN - timedelta(seconds=1)), None)
    assert document["endsAt"] == document["startsAt"]


def test_a_label_of_a_record_does_not_change_the_name_and_the_severity() -> None:
    alert = replace(ALERT, labels={"alertname": "mine", "severity": "none"}, severity="page")
    assert firing_document(alert, NOW, None)["labels"] == {"alertname": "EngineNotAnswering", "severity": "page"}


async def test_alerts_are_posted_to_the_api_with_the_prefix_of_the_url() -> None:
    for rest, path in (
        ("", "/api/v2/alerts"),
        ("/", "/api/v2/alerts"),
        ("/ops/am/", "/ops/am/api/v2/alerts"),
        ("/ops/api/v2/alerts", "/ops/api/v2/alerts"),
    ):
        async with scripted(rest=rest) as (server, alerter):
            await alerter.fire([ALERT])
        [asked] = server.asked
        assert (asked.method, asked.path) == ("POST", path)
        assert asked.headers["Content-Type"] == "application/json"


async def test_an_alert_fires_for_a_day_from_each_time_that_it_is_sent() -> None:
    async with scripted() as (server, alerter):
        await alerter.fire([ALERT])
    ends_at = datetime.fromisoformat(server.asked[0].document[0]["endsAt"])
    assert timedelta(days=1) == VALID_FOR
    assert timedelta(hours=23, minutes=50) < ends_at - datetime.now(UTC) <= VALID_FOR


async def test_open_alerts_are_repeated_every_minute() -> None:
    async with scripted() as (_, alerter):
        assert alerter.repeat_interval == 60.0


async def test_many_alerts_are_sent_in_batches_over_one_connection() -> None:
    async with scripted() as (server, alerter):
        await alerter.fire([alert_of(f"game-{number}") for number in range(1201)])
    assert [len(asked.document) for asked in server.asked] == [500, 500, 201]
    assert {asked.connection for asked in server.asked} == {1}


async def test_long_alerts_are_sent_in_smaller_batches() -> None:
    long = {f"label_{number}": "x" * 256 for number in range(32)}
    async with scripted() as (server, alerter):
        await alerter.fire([alert_of(f"game-{number}", labels=long) for number in range(200)])
    assert sum(len(asked.document) for asked in server.asked) == 200
    assert max(len(asked.body) for asked in server.asked) < 600 * 1024


async def test_of_a_batch_that_is_refused_the_one_alert_that_is_meant_is_found() -> None:
    taken: set[str] = set()

    async def refuses_game_42(request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        games = {alert["labels"]["game_id"] for alert in asked.document}
        if "game-42" in games:
            return await Answer(400, b'"label value is bad"', {"Content-Type": "application/json"})(request, asked)
        taken.update(games)
        return await TAKEN(request, asked)

    alerts = [alert_of(f"game-{number}") for number in range(100)]
    async with scripted(refuses_game_42) as (server, alerter):
        error = await refused(alerter, alerts)
        assert (error.permanent, error.delivered) == (True, 42)
        assert str(error).endswith("answered 400: label value is bad")
        assert len(server.asked) < 20
        await alerter.fire(alerts[error.delivered + 1 :])
    assert taken == {alert.labels["game_id"] for alert in alerts} - {"game-42"}


async def test_alerts_of_earlier_batches_count_as_delivered() -> None:
    async with scripted(in_turn(TAKEN, Answer(503))) as (_, alerter):
        error = await refused(alerter, [alert_of(f"game-{number}") for number in range(700)])
    assert (error.permanent, error.delivered) == (False, 500)


def _dated(instant: datetime) -> Answer:
    return Answer(200, headers={"Date": format_datetime(instant, usegmt=True)})


async def test_an_end_in_the_future_of_an_alertmanager_whose_clock_is_behind_is_sent_again_by_its_clock() -> None:
    there = (datetime.now(UTC) - timedelta(hours=1)).replace(microsecond=0)
    earlier, later = alert_of("game-7", minutes_ago=90), alert_of("game-8", minutes_ago=5)
    async with scripted(_dated(there)) as (server, alerter):
        await alerter.resolve([over(earlier), over(later)])
    _, again = server.asked
    assert [alert["endsAt"] for alert in again.document] == [there.isoformat()] * 2
    assert [alert["startsAt"] for alert in again.document] == [earlier.started_at.isoformat(), there.isoformat()]


async def test_an_end_in_the_past_of_an_alertmanager_is_sent_once() -> None:
    async with scripted(_dated(datetime.now(UTC) + timedelta(seconds=2))) as (server, alerter):
        await alerter.resolve([over(alert_of("game-7"))])
    assert len(server.asked) == 1


@pytest.mark.parametrize("date", ["", "soon", "Mon, 99 Nov 2026 99:00:00 GMT"])
async def test_an_alertmanager_that_does_not_say_its_time_is_believed(date: str) -> None:
    async with scripted(Answer(200, headers={"Date": date})) as (server, alerter):
        await alerter.resolve([over(alert_of("game-7"))])
    assert len(server.asked) == 1


async def test_a_game_id_that_is_no_text_is_sent_escaped() -> None:
    async with scripted(page="http://ops.example") as (server, alerter):
        await alerter.fire([alert_of("lone \ud800")])
    [alert] = server.asked[0].document
    assert alert["labels"]["game_id"] == "lone \ud800"
    assert alert["generatorURL"] == "http://ops.example/?game=lone%20%3F"
