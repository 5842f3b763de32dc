"""Debian's Alertmanager with a real webhook receiver: fires, repeats, resolves, also over restarts of either side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.adapters.alertmanager.managers import alerter_of, over, refused
from tests.servers.alertmanager import AlertmanagerServer, needs_alertmanager
from tests.servers.web import Answer, WebServer
from tests.support.waiting import until

from healthprobe._util.aio import background_tasks
from healthprobe.adapters.alertmanager import AlertmanagerAlerter
from healthprobe.ports import PublishError
from healthprobe.testing.contracts.samples import alert_of

pytestmark = needs_alertmanager

PASSWORD = "secret"
BCRYPT = "$2b$04$wCfYn//jArcfz9V90BggGuhmIZW848gEktXyc./Ls6YuUUwDBRGca"


class Receiver:
    """What an Alertmanager told its webhook, in order: (firing or resolved, game)."""

    def __init__(self, server: WebServer) -> None:
        self._server = server

    @property
    def alerts(self) -> list[dict[str, Any]]:
        return [alert for asked in self._server.asked for alert in asked.document["alerts"]]

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(alert["status"], alert["labels"]["game_id"]) for alert in self.alerts]


@asynccontextmanager
async def alertmanager() -> AsyncIterator[tuple[AlertmanagerServer, Receiver]]:
    async with WebServer(Answer(200)) as hook:
        with AlertmanagerServer(hook.url("/hook")) as server:
            yield server, Receiver(hook)


def is_told(receiver: Receiver, *told: tuple[str, str]) -> Callable[[], bool]:
    return lambda: receiver.told == list(told)


async def test_an_alert_fires_once_is_repeated_silently_and_resolves_once() -> None:
    async with alertmanager() as (server, receiver), alerter_of(server.url, page="https://ops.example") as alerter:
        alert = alert_of("game-7", labels={"host": "host-3", "team": "eu"})
        await alerter.fire([alert])
        await until(is_told(receiver, ("firing", "game-7")), "the alert fires")
        for _ in range(3):
            await alerter.fire([alert])
        await alerter.resolve([over(alert)])
        await until(is_told(receiver, ("firing", "game-7"), ("resolved", "game-7")), "the alert resolves")
    fired, resolved = receiver.alerts
    assert fired["labels"] == {
        "alertname": "EngineNotAnswering",
        "game_id": "game-7",
        "host": "host-3",
        "severity": "critical",
        "team": "eu",
    }
    assert fired["annotations"]["summary"] == "game-7 has stopped answering"
    assert fired["generatorURL"] == "https://ops.example/?game=game-7"
    assert datetime.fromisoformat(fired["startsAt"]) == alert.started_at
    assert resolved["annotations"]["reason"] == "answers again"


async def test_an_alert_of_which_nothing_more_is_heard_fires_for_a_day() -> None:
    async with alertmanager() as (server, _), alerter_of(server.url) as alerter:  # its own resolve_timeout is 1 s
        await alerter.fire([alert_of("game-7")])
        [alert] = server.alerts()
    assert datetime.fromisoformat(alert["endsAt"]) > datetime.now(UTC) + timedelta(hours=23)


async def test_an_alertmanager_that_restarted_learns_of_an_open_alert_by_the_repetition_and_tells_of_it_once() -> None:
    async with alertmanager() as (server, receiver), alerter_of(server.url) as alerter:
        alert = alert_of("game-7")
        await alerter.fire([alert])
        await until(is_told(receiver, ("firing", "game-7")), "the alert fires")
        server.stop()
        assert "connection" in str(await refused(alerter, [alert]))
        server.start()
        assert server.alerts() == []
        await alerter.fire([alert])
        assert [known["labels"]["game_id"] for known in server.alerts()] == ["game-7"]
        await alerter.resolve([over(alert)])
        await until(is_told(receiver, ("firing", "game-7"), ("resolved", "game-7")), "the alert resolves")


async def test_what_recovered_while_an_alertmanager_restarted_resolves_there() -> None:
    async with alertmanager() as (server, receiver), alerter_of(server.url) as alerter:
        alert = alert_of("game-7")
        await alerter.fire([alert])
        await until(is_told(receiver, ("firing", "game-7")), "the alert fires")
        await asyncio.to_thread(server.restart)
        await alerter.resolve([over(alert)])
        await until(is_told(receiver, ("firing", "game-7"), ("resolved", "game-7")), "the alert resolves")


async def test_our_restart_changes_neither_the_alert_nor_its_beginning() -> None:
    async with alertmanager() as (server, receiver):
        alert = alert_of("game-7")
        async with alerter_of(server.url) as alerter:
            await alerter.fire([alert])
        async with alerter_of(server.url) as alerter:
            await alerter.fire([alert])
            await until(is_told(receiver, ("firing", "game-7")), "the alert fires")
            [known] = server.alerts()
            assert datetime.fromisoformat(known["startsAt"]).timestamp() == pytest.approx(alert.started_at.timestamp())
            await alerter.resolve([over(alert)])
            await until(is_told(receiver, ("firing", "game-7"), ("resolved", "game-7")), "the alert resolves")


async def test_of_two_alertmanagers_one_that_is_down_or_hangs_delays_not_the_other() -> None:
    with AlertmanagerServer() as first, AlertmanagerServer() as second:
        url = f"alertmanager+http://{first.address},{second.address}"
        one, two = AlertmanagerAlerter.of_each_host(url).values()
        first.kill()
        assert "connection refused" in str(await refused(one))
        await two.fire([alert_of("game-7")])
        assert len(second.alerts()) == 1
        first.start()
        first.pause()
        async with alerter_of(first.url, timeout=0.5) as impatient:
            assert "no answer within 0.5s" in str(await refused(impatient))
        await two.fire([alert_of("game-8")])
        assert len(second.alerts()) == 2
        first.resume()
        await one.fire([alert_of("game-7"), alert_of("game-8")])
        assert len(first.alerts()) == 2
        await asyncio.gather(one.aclose(), two.aclose())


async def test_two_senders_do_no_harm() -> None:
    async with alertmanager() as (server, receiver), alerter_of(server.url) as one, alerter_of(server.url) as two:
        alert = alert_of("game-7")
        await asyncio.gather(one.fire([alert]), two.fire([alert]))
        await until(is_told(receiver, ("firing", "game-7")), "the alert fires")
        await asyncio.gather(one.resolve([over(alert)]), two.resolve([over(alert)]))
        await until(is_told(receiver, ("firing", "game-7"), ("resolved", "game-7")), "the alert resolves")


async def test_an_alert_resolves_at_an_alertmanager_whose_clock_is_behind_ours() -> None:
    async with alertmanager() as (server, receiver), alerter_of(server.url) as alerter:
        ahead = datetime.now(UTC) + timedelta(minutes=30)
        alert = alert_of("game-7", minutes_ago=-29)
        await alerter.fire([alert])
        await alerter.resolve([over(alert, ahead)])
        assert server.alerts() == []
    assert {status for status, _ in receiver.told} <= {"firing", "resolved"}


async def test_an_alert_that_it_refuses_is_named_and_the_others_fire() -> None:
    async with alertmanager() as (server, _), alerter_of(server.url) as alerter:
        bad = alert_of("game-8", labels={"no-label-name": "x"})
        error = await refused(alerter, [alert_of("game-7"), bad, alert_of("game-9")])
        assert (error.permanent, error.delivered, error.code) == (True, 1, "400")
        assert "no-label-name" in str(error)
        assert sorted(alert["labels"]["game_id"] for alert in server.alerts()) == ["game-7", "game-9"]


@pytest.mark.proves("alert-certificate")
async def test_user_password_tls_and_an_authority_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    web = {
        "tls_server_config": {"cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")},
        "basic_auth_users": {"probe": BCRYPT},
    }
    monkeypatch.setenv("AM_PASSWORD", PASSWORD)
    with AlertmanagerServer(prefix="/ops/am", web=web) as server:
        known = f"alertmanager+https://probe@{server.address}?password=env:AM_PASSWORD&ca={tmp_path}/ca.pem"
        async with alerter_of(known) as alerter:
            await alerter.reach()
            await alerter.fire([alert_of("game-7")])
            monkeypatch.setenv("AM_PASSWORD", "wrong")
            error = await refused(alerter)
            assert str(error).endswith("answered 401: Unauthorized; check the user and the secret")
        async with alerter_of(f"alertmanager+https://{server.address}") as alerter:
            error = await refused(alerter)
            assert "certificate refused" in str(error)
        async with alerter_of(f"alertmanager+http://{server.address}") as alerter:
            error = await refused(alerter)
            assert str(error).endswith("answered 400: Client sent an HTTP request to an HTTPS server.")
            assert not error.permanent


@pytest.mark.slow
async def test_ten_thousand_alerts_at_once_fire_and_resolve_while_others_get_their_turn() -> None:
    alerts = [alert_of(f"game-{number}", labels={"host": f"host-{number % 100}"}) for number in range(10_000)]
    longest = 0.0

    async def measure_turns() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()  # of this thread alone: another process may have the processor
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - began)

    with AlertmanagerServer() as server:
        async with alerter_of(server.url) as alerter, background_tasks(measure_turns()):
            await alerter.fire(alerts)
            await alerter.resolve([over(alert) for alert in alerts[:5_000]])
        assert len(server.alerts()) == 5_000
    assert longest < 0.2


async def test_an_alert_that_ends_while_alertmanager_hangs_stays_over_whatever_it_takes_late() -> None:
    """The requests that were not answered are taken when it goes on, very often after the one of the end."""
    games = [f"game-{number}" for number in range(100)]
    alerts = [alert_of(game_id) for game_id in games]
    async with alertmanager() as (server, _), alerter_of(server.url, timeout=0.5) as alerter:
        server.pause()
        for _ in range(3):
            with pytest.raises(PublishError, match="no answer within"):
                await alerter.fire(alerts)
        ended_at = datetime.now(UTC) - timedelta(seconds=2)
        resolving = asyncio.ensure_future(alerter.resolve([over(alert, ended_at) for alert in alerts]))
        await asyncio.sleep(0.1)
        server.resume()
        await resolving
        await asyncio.sleep(0.3)
        assert server.alerts() == []
