"""PagerDuty: what triggers and resolves an incident there, and what its refusals mean."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.adapters.pagerduty.service import KEY, ScriptedPagerDuty
from tests.servers.web import Answer, Script, in_turn, resetting, silent

from healthprobe.adapters.pagerduty import PagerDutyAlerter
from healthprobe.adapters.pagerduty.address import parse_service
from healthprobe.adapters.pagerduty.documents import dedup_key, trigger
from healthprobe.domain.alarms.alert import GROUP_NOT_ANSWERING, Alert, ResolvedAlert
from healthprobe.ports import ConfigurationError, PublishError
from healthprobe.testing.contracts.samples import alert_of

JSON = {"Content-Type": "application/json"}
TAKEN = Answer(202, b'{"status": "success"}', JSON)
ALERT = replace(
    alert_of("game 7", labels={"host": "host-3", "team": "eu"}),
    started_at=datetime(2026, 11, 23, 17, 0, 0, 123456, UTC),
)


@pytest.fixture
async def service() -> AsyncIterator[ScriptedPagerDuty]:
    async with ScriptedPagerDuty() as service:
        yield service


@pytest.fixture
async def alerter(service: ScriptedPagerDuty, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PagerDutyAlerter]:
    alerter = service.alerter(monkeypatch, page="https://ops.example/health")
    yield alerter
    await alerter.aclose()


async def refused(alerter: PagerDutyAlerter, alerts: Sequence[Alert] = (ALERT,)) -> PublishError:
    with pytest.raises(PublishError, match=r"\A[^\n]{10,400}\Z") as raised:
        await alerter.fire(alerts)
    assert KEY not in str(raised.value)
    return raised.value


async def test_an_alert_triggers_and_resolves_by_the_same_key(
    service: ScriptedPagerDuty, alerter: PagerDutyAlerter
) -> None:
    await alerter.fire([ALERT])
    await alerter.resolve([ResolvedAlert(alert=ALERT, resolved_at=datetime.now(UTC))])
    triggered, resolved = service.events
    link = "https://ops.example/health/?game=game%207"
    assert triggered == {
        "routing_key": KEY,
        "event_action": "trigger",
        "dedup_key": ALERT.key,
        "client": "healthprobe",
        "client_url": link,
        "links": [{"href": link, "text": "healthprobe"}],
        "payload": {
            "summary": "game 7 has stopped answering",
            "source": "host-3",
            "severity": "critical",
            "timestamp": "2026-11-23T17:00:00.123456+00:00",
            "component": "game 7",
            "class": "EngineNotAnswering",
            "custom_details": {
                "game_id": "game 7",
                "host": "host-3",
                "team": "eu",
                "alertname": "EngineNotAnswering",
                "severity": "critical",
                "last_error": "unexpected status 503",
                "since": "2026-11-23 17:00:00 UTC",
            },
        },
    }
    assert resolved == {"routing_key": KEY, "event_action": "resolve", "dedup_key": ALERT.key}


async def test_a_recovery_that_another_instance_saw_resolves_the_incident(
    service: ScriptedPagerDuty, alerter: PagerDutyAlerter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await alerter.fire([ALERT])
    other = service.alerter(monkeypatch)
    await other.resolve([ResolvedAlert(alert=ALERT, resolved_at=datetime.now(UTC))])
    await other.aclose()
    assert not service.open


def test_a_long_key_is_sent_as_its_digest() -> None:
    longest, longer = replace(ALERT, key="k" * 255), replace(ALERT, key="k" * 256)
    assert dedup_key(longest) == "k" * 255
    assert dedup_key(longer).startswith("sha256:")
    assert len({dedup_key(replace(ALERT, key=f"{'k' * 300}{number}")) for number in range(100)}) == 100
    assert dedup_key(replace(ALERT, key="игра \ud800")).startswith("sha256:")


def test_a_group_has_how_many_of_how_many_and_the_names() -> None:
    group = replace(ALERT, name=GROUP_NOT_ANSWERING, labels={"team": "eu"}, game_ids=("game-1", "game-2"), group_size=3)
    payload = trigger(group, KEY, None)["payload"]
    assert (payload["custom_details"]["failed"], payload["custom_details"]["games"]) == ("2 of 3", "game-1, game-2")
    assert payload["source"] == "healthprobe"
    many = replace(group, game_ids=tuple(f"game-{number}" for number in range(100_000)), group_size=100_000)
    assert len(json.dumps(trigger(many, KEY, None))) < 512 * 1024


@pytest.mark.parametrize(
    ("severity", "sent"),
    [("critical", "critical"), ("error", "error"), ("warning", "warning"), ("info", "info"), ("page", "critical")],
)
def test_a_severity_that_pagerduty_does_not_know_is_critical(severity: str, sent: str) -> None:
    payload = trigger(replace(ALERT, severity=severity), KEY, None)["payload"]
    assert (payload["severity"], payload["custom_details"]["severity"]) == (sent, severity)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_what_is_not_about_the_event_is_retried_when_asked_for(
    service: ScriptedPagerDuty, alerter: PagerDutyAlerter, status: int
) -> None:
    service.script = in_turn(TAKEN, Answer(status, b"slow down", {"Retry-After": "30"}), TAKEN)
    error = await refused(alerter, [ALERT, ALERT, ALERT])
    assert (error.permanent, error.delivered, error.retry_after, error.code) == (False, 1, 30.0, str(status))
    assert str(error).endswith(f"answered {status}: slow down")
    await alerter.fire([ALERT, ALERT])
    assert len(service.events) == 4


async def test_an_event_that_is_refused_is_permanent_and_the_next_are_sent(
    service: ScriptedPagerDuty, alerter: PagerDutyAlerter
) -> None:
    alerts = [alert_of("game-7"), replace(alert_of("game-8"), summary=""), alert_of("game-9")]
    error = await refused(alerter, alerts)
    assert (error.permanent, error.delivered, error.code) == (True, 1, "400")
    assert str(error).endswith("answered 400: 'payload.summary' is missing or blank")
    await alerter.fire(alerts[error.delivered + 1 :])
    assert len(service.open) == 2


async def test_a_refusal_of_the_key_parks_nothing(service: ScriptedPagerDuty, alerter: PagerDutyAlerter) -> None:
    said = {"status": "invalid event", "errors": ["Length of 'routing_key' is incorrect (should be 32 characters)"]}
    service.script = Answer(400, json.dumps(said).encode(), JSON)
    error = await refused(alerter)
    assert not error.permanent
    assert str(error).endswith("; check the integration key at env:PAGERDUTY_KEY")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (resetting, "connection closed before the answer"),
        (Answer(200, b"<html>", {"Content-Type": "text/html"}), "with a web page; check the host in the URL"),
        (Answer(400, b"no TLS here"), "no TLS here; check the integration key at env:PAGERDUTY_KEY"),
        (Answer(301, headers={"Location": "http://elsewhere/"}), "so give the new URL"),
        (Answer(400, b"[1]"), "answered 400: [1]; check the integration key at env:PAGERDUTY_KEY"),
    ],
)
async def test_what_is_not_pagerdutys_word_is_retried(
    service: ScriptedPagerDuty, alerter: PagerDutyAlerter, script: Script, expected: str
) -> None:
    service.script = script
    error = await refused(alerter)
    assert expected in str(error)
    assert str(error).startswith(f"PagerDuty at http://127.0.0.1:{service.server.port}")
    assert not error.permanent


async def test_a_missing_answer_is_retried(service: ScriptedPagerDuty, monkeypatch: pytest.MonkeyPatch) -> None:
    service.script = silent
    alerter = service.alerter(monkeypatch, timeout=0.3)
    error = await refused(alerter)
    await alerter.aclose()
    assert str(error) == f"PagerDuty at http://127.0.0.1:{service.server.port}: no answer within 0.3s"
    assert not error.permanent


async def test_a_key_that_is_replaced_is_used_at_once_and_a_wrong_one_is_retried(
    service: ScriptedPagerDuty, alerter: PagerDutyAlerter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGERDUTY_KEY", KEY[::-1])
    await alerter.fire([ALERT])
    assert service.events[0]["routing_key"] == KEY[::-1]
    monkeypatch.setenv("PAGERDUTY_KEY", "short")
    error = await refused(alerter)
    assert (error.permanent, error.code) == (False, "secret")


@pytest.mark.parametrize(
    ("url", "name", "address"),
    [
        ("pagerduty:env:PD", "pagerduty:env:PD", "https://events.pagerduty.com/v2/enqueue"),
        ("pagerduty://env:PD", "pagerduty:env:PD", "https://events.pagerduty.com/v2/enqueue"),
        ("pagerduty:file:/run/secrets/pd", "pagerduty:file:/run/secrets/pd", "https://events.pagerduty.com/v2/enqueue"),
        (
            "pagerduty://events.eu.pagerduty.com?key=env:PD",
            "pagerduty://events.eu.pagerduty.com?key=env:PD",
            "https://events.eu.pagerduty.com/v2/enqueue",
        ),
        ("pagerduty://events.pagerduty.com/?key=env:PD", "pagerduty:env:PD", "https://events.pagerduty.com/v2/enqueue"),
        (
            "pagerduty+http://relay:8080/pd?key=env:PD",
            "pagerduty+http://relay:8080/pd?key=env:PD",
            "http://relay:8080/pd/v2/enqueue",
        ),
    ],
)
def test_a_url_names_a_host_and_the_place_of_a_key(url: str, name: str, address: str) -> None:
    service = parse_service(url)
    assert (service.name, str(service.address.url)) == (name, address)


@pytest.mark.proves("alert-key-in-url")
@pytest.mark.parametrize(
    "url",
    [
        f"pagerduty:{KEY}",
        f"pagerduty://{KEY}",
        f"pagerduty://events.pagerduty.com?key={KEY}",
        f"pagerduty://user:{KEY}@events.pagerduty.com?key=env:PD",
        f"pagerduty://events.pagerduty.com?key=env:PD&other={KEY}",
        f"pagerduty+ftp://events.pagerduty.com?key={KEY}",
        "pagerduty:",
        "pagerduty://",
        "pagerduty://host:port?key=env:PD",
        "pagerduty:env:",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\A[^\n]{10,400}\Z") as raised:
        parse_service(url)
    assert KEY not in str(raised.value)


@given(rest=st.text(alphabet=st.sampled_from("env:fil/?&=#%[]@. \n\0é\udcff9") | st.characters(), max_size=60))
def test_any_other_text_is_refused_in_one_line(rest: str) -> None:
    refusals = []
    for url in (rest, f"pagerduty:{rest}", f"pagerduty://{rest}", f"pagerduty+http://host?key={rest}"):
        try:
            parse_service(url).routing_key()
        except ConfigurationError as error:
            refusals.append(str(error))
    assert all(refusal.isprintable() for refusal in refusals)


def test_a_key_file_is_checked_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(ConfigurationError, match="cannot be read: no such file"):
        PagerDutyAlerter.of_url(f"pagerduty:file:{path}")
    path.write_text("a key of the REST API\n")
    with pytest.raises(ConfigurationError, match="does not hold an integration key of Events API v2") as raised:
        PagerDutyAlerter.of_url(f"pagerduty:file:{path}")
    assert "REST API" not in str(raised.value)
    path.write_text(KEY + "\n")
    path.chmod(0o644)
    with capture_logs() as logs:
        PagerDutyAlerter.of_url(f"pagerduty:file:{path}")
    assert [line["log_level"] for line in logs] == ["warning"]
    path.chmod(0o600)
    with capture_logs() as logs:
        PagerDutyAlerter.of_url(f"pagerduty:file:{path}")
    assert not logs
