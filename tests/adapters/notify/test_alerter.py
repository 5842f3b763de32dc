"""Alerts as messages to people, sent for real by apprise to an HTTP server of our own."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.adapters.notify.phones import Inseparable, Ntfy, Phone, ntfy_of_its_own, phone_of_its_own

from healthprobe.adapters.notify import NotifyAlerter, alerter
from healthprobe.adapters.notify.sentence import sentence_of_open, sentence_of_resolved
from healthprobe.adapters.notify.services import services_by_target
from healthprobe.app.url_names import notification_name
from healthprobe.domain.alarms.alert import ENGINE_NOT_ANSWERING, GROUP_NOT_ANSWERING, Alert, ResolvedAlert
from healthprobe.ports import ConfigurationError, PublishError
from healthprobe.testing.contracts.samples import ODD_GAME_IDS

BEGAN = datetime(2026, 11, 23, 17, 0, 15, tzinfo=UTC)


def alert(game_id: str = "game-7", **others: Any) -> Alert:
    """An alert of one game."""
    fields: dict[str, Any] = {
        "key": f"log/{game_id}:1",
        "name": ENGINE_NOT_ANSWERING,
        "labels": {"game_id": game_id, "host": "10.0.0.3"},
        "summary": "",
        "last_error": "unexpected status 503",
        "started_at": BEGAN,
        "game_ids": (game_id,),
    }
    return Alert(**fields | others)


def group(games: int, group: tuple[str, str] = ("host", "host-3"), size: int = 100) -> Alert:
    """An alert of so many games that failed together."""
    return alert(
        key="log/host=host-3/game-1:1",
        name=GROUP_NOT_ANSWERING,
        labels=dict([group]),
        game_ids=tuple(f"game-{number}" for number in range(1, games + 1)),
        group_size=size,
        group=group,
    )


def over(alert: Alert, after: float = 200.0, **others: Any) -> ResolvedAlert:
    return ResolvedAlert(alert=alert, resolved_at=alert.started_at + timedelta(seconds=after), **others)


@pytest.fixture
async def phone() -> AsyncIterator[Phone]:
    async with phone_of_its_own() as phone:
        yield phone


@pytest.fixture
async def ntfy() -> AsyncIterator[Ntfy]:
    async with ntfy_of_its_own() as ntfy:
        yield ntfy


async def test_a_failure_and_a_recovery_are_a_message_each_with_counts_in_the_title(phone: Phone) -> None:
    people = NotifyAlerter.of_url(phone.url)
    await people.fire([alert()])
    await people.resolve([over(alert())])
    assert [(message["title"], message["type"]) for message in phone.messages] == [
        ("1 game has stopped answering", "failure"),
        ("1 game answers again", "success"),
    ]
    assert phone.sentences == [
        'game-7 on 10.0.0.3 has stopped answering: "unexpected status 503" (since 2026-11-23 17:00:15 UTC)',
        "game-7 on 10.0.0.3 answers again after 3m20s",
    ]


async def test_a_group_is_one_sentence_with_how_many_of_how_many_and_ten_names(phone: Phone) -> None:
    people = NotifyAlerter.of_url(phone.url)
    await people.fire([group(12, size=20)])
    await people.resolve([over(group(12, size=20), after=7_260)])
    failed, answers = phone.messages
    assert failed["title"] == "12 games have stopped answering"
    assert failed["message"] == (
        "12 of 20 engines on host-3 have stopped answering: "
        f"{', '.join(f'game-{number}' for number in range(1, 11))} and 2 more; "
        'first with "unexpected status 503" (since 2026-11-23 17:00:15 UTC)'
    )
    assert (answers["title"], answers["message"]) == (
        "12 games answer again",
        "the engines on host-3 answer again after 2h01m",
    )


@pytest.mark.parametrize(
    ("resolved", "sentence"),
    [
        (
            over(alert(labels={}), reason="game no longer runs"),
            "game-7: game no longer runs, after 3m20s without an answer",
        ),
        (
            over(group(3), reason="game no longer runs"),
            "the engines on host-3: game no longer runs, after 3m20s without an answer",
        ),
        (over(group(3, ("team", "eu"))), "the engines of team eu answer again after 3m20s"),
        (over(alert(labels={}), after=-5.0), "game-7 answers again after 0s"),
    ],
)
def test_the_end_of_an_alert_says_why_and_how_long_it_lasted(resolved: ResolvedAlert, sentence: str) -> None:
    assert sentence_of_resolved(resolved) == sentence


async def test_many_alerts_are_a_few_messages_with_all_games_in_order(phone: Phone) -> None:
    alerts = [alert(f"game-{number}") for number in range(500)]
    people = NotifyAlerter.of_url(phone.url)
    await people.fire(alerts)
    assert phone.sentences == [sentence_of_open(each) for each in alerts]
    fired = len(phone.messages)
    assert fired < 25
    await people.resolve([over(each) for each in alerts])
    assert len(phone.sentences) == 1_000
    assert len(phone.messages) == fired + 10
    assert all(len(message["message"]) <= 3_000 for message in phone.messages)


async def test_no_alerts_send_no_message(phone: Phone) -> None:
    people = NotifyAlerter.of_url(phone.url)
    await people.fire([])
    await people.resolve([])
    assert phone.messages == []


async def test_the_error_of_a_failing_service_counts_the_alerts_told_before(phone: Phone) -> None:
    phone.refuse_after = 1
    people = NotifyAlerter.of_url(phone.url)
    alerts = [alert(f"game-{number}") for number in range(60)]
    with pytest.raises(PublishError, match=r"\Athe json service did not take a notification\Z") as refused:
        await people.fire(alerts)
    assert (refused.value.permanent, refused.value.delivered) == (False, len(phone.sentences))
    assert phone.sentences


@pytest.mark.filterwarnings("error")
async def test_the_logs_of_apprise_are_discarded(
    phone: Phone, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    phone.refuse_after = 0
    with caplog.at_level(logging.DEBUG), pytest.raises(PublishError):
        await NotifyAlerter.of_url(phone.url).fire([alert()])
    assert [record for record in caplog.records if "apprise" in record.name] == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("url", ["nonsense://user:secret@host", "secret", "://secret", "slack://secret", "se\ncret://"])
def test_a_url_that_apprise_does_not_know_is_refused_in_one_line_without_secrets(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigurationError, match=r"\A[^\n]+\Z") as refused:
        NotifyAlerter.of_url(url)
    assert "cret" not in str(refused.value)
    assert capfd.readouterr() == ("", "")


async def test_a_hanging_service_blocks_neither_the_loop_nor_a_cancellation(phone: Phone) -> None:
    phone.gate.clear()
    firing = asyncio.create_task(NotifyAlerter.of_url(phone.url).fire([alert()]))
    await asyncio.sleep(0.05)
    assert not firing.done()
    firing.cancel()
    async with asyncio.timeout(3.0):
        await asyncio.gather(firing, return_exceptions=True)
    assert firing.cancelled()


async def test_a_hanging_service_times_out(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerter, "_TIMEOUT", 0.2)
    phone.gate.clear()
    async with asyncio.timeout(3.0):  # apprise itself waits four seconds for a response
        with pytest.raises(PublishError, match="did not take a notification") as refused:
            await NotifyAlerter.of_url(phone.url).fire([alert()])
    assert (refused.value.permanent, refused.value.delivered) == (False, 0)


@pytest.mark.proves("chat-markup")
@pytest.mark.parametrize(
    "hostile",
    ["<!channel>", "@everyone", "[free](http://evil)", "<b onclick=x>", "**bold**", "`code`", "a\nb", "x" * 5_000],
)
def test_no_text_of_a_game_a_label_or_an_engine_can_mention_link_or_format(hostile: str) -> None:
    sentences = [
        sentence_of_open(alert(hostile)),
        sentence_of_open(alert(last_error=hostile)),
        sentence_of_open(alert(labels={"host": hostile})),
        sentence_of_open(alert(game_ids=(hostile, "a", "b"), group=(hostile, hostile), last_error=hostile)),
        sentence_of_resolved(over(alert(hostile), reason=hostile)),
        sentence_of_resolved(over(alert(game_ids=(hostile, "a", "b"), group=(hostile, hostile)))),
    ]
    for sentence in sentences:
        assert not re.search(r"[<>\[\]*`\n]|@\w", sentence)
        assert len(sentence) < 1_000


async def test_odd_game_ids_are_a_line_each(phone: Phone) -> None:
    await NotifyAlerter.of_url(phone.url).fire([alert(game_id) for game_id in ODD_GAME_IDS])
    assert len(phone.sentences) == len(ODD_GAME_IDS)


@pytest.mark.parametrize(
    ("url", "targets"),
    [
        ("ntfy://host/good,dead", ["dead", "good"]),
        ("ntfys://user:pa%40ss@host/a/b?priority=high", ["a", "b"]),
        ("mailto://user:pass@example.com?to=a@x.org,b@x.org&cc=c@x.org", ["a@x.org", "b@x.org"]),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/%23a/%23b/@c", ["#a", "#b", "@c"]),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/12315545", ["12315544", "12315545"]),
        ("ntfy://host/one", []),
        ("json://host/", []),
        ("discord://1234567890123456/abcdefghijklmnopqrstuvwxyz123456", []),
    ],
)
def test_targets_are_separated_with_all_else_as_in_the_url(url: str, targets: list[str]) -> None:
    services: dict[str, Any] = dict(services_by_target(url))
    assert sorted(services) == targets
    for service in services.values():
        assert len(service) == 1
        assert service.password in {None, "pa@ss", "pass"}
    if "priority" in url:
        assert {service.priority for service in services.values()} == {"high"}


@pytest.mark.parametrize("url", ["ntfy://host/one", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/%23a"])
def test_a_url_with_one_target_keeps_its_name(url: str) -> None:
    [target] = NotifyAlerter.of_each_target(url)
    assert notification_name(url, target) == notification_name(url)


async def test_each_target_has_an_alerter_so_that_a_dead_one_does_not_make_the_good_one_ring_again(ntfy: Ntfy) -> None:
    targets = NotifyAlerter.of_each_target(f"ntfy://{ntfy.place}/good,dead")
    await targets["good"].fire([alert()])
    with pytest.raises(PublishError, match=r"\Athe ntfy service, for its target d\.\.\.d, did not take a notif"):
        await targets["dead"].fire([alert()])
    assert dict(ntfy.got) == {"good": 1, "dead": 1}


async def test_targets_that_cannot_be_separated_get_a_message_four_times_and_then_it_is_refused_for_good() -> None:
    service = Inseparable()
    people = NotifyAlerter(service, "the inseparable service")
    alerts = [alert(f"game-{number}") for number in range(5)]
    for _ in range(4):
        with pytest.raises(PublishError) as refused:
            await people.fire(alerts)
        assert (refused.value.permanent, refused.value.delivered) == (False, 0)
    for each in range(5):
        with pytest.raises(PublishError, match=r"for all of its targets, in 4 tries\Z") as refused:
            await people.fire(alerts[each:])
        assert (refused.value.permanent, refused.value.delivered) == (True, 0)
    assert [body.count("\n") + 1 for body in service.bodies] == [5, 5, 5, 5], "no target rang for each of the five"
    service.is_dead = False
    await people.fire([alert("game-9")])
    await people.fire(alerts)
    assert [body.count("\n") + 1 for body in service.bodies[4:]] == [1, 5], "an alert that comes again is tried again"
