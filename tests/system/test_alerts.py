"""The whole program with a real Alertmanager and a scripted PagerDuty: alerts fire and resolve once over kill -9."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.pagerduty.service import KEY, ScriptedPagerDuty
from tests.servers.alertmanager import AlertmanagerServer, needs_alertmanager
from tests.servers.nats import NatsServer
from tests.servers.web import Answer, WebServer
from tests.support.live_engine import LiveEngine
from tests.support.program import Program, next_document
from tests.support.waiting import until

RULE = ("run", "--interval", "500ms", "--timeout", "400ms", "--failures", "2")
"""Also on a busy machine no probe fails by itself."""


@dataclass(frozen=True)
class Site:
    """An Alertmanager and its webhook receiver."""

    alertmanager: AlertmanagerServer
    hook: WebServer

    @property
    def alerts(self) -> list[dict[str, Any]]:
        return [alert for asked in self.hook.asked for alert in asked.document["alerts"]]

    @property
    def told(self) -> list[str]:
        """Whether the receiver was told of a firing or a resolved alert, in order."""
        return [alert["status"] for alert in self.alerts]


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    async with WebServer(Answer(200)) as hook:
        with AlertmanagerServer(hook.url("/")) as server:
            yield Site(server, hook)


def records_of(folder: Path, engine: LiveEngine, **labels: str) -> str:
    record = {"game_id": "game-7", "engine_endpoint": engine.endpoint, "status": "running", "labels": labels}
    (folder / "games.json").write_text(json.dumps([record]))
    return f"file:{folder / 'games.json'}"


def arguments(records: str, *alert_urls: str) -> tuple[str, ...]:
    alerts = [part for url in alert_urls for part in ("--alert", url)]
    page = ("--page-url", "https://ops.example/health")
    return (*RULE, "--records", records, *alerts, "--alert-wait", "0", *page)


@needs_alertmanager
async def test_an_alert_that_fired_before_a_kill_resolves_after_the_restart(
    program: Program, engine: LiveEngine
) -> None:
    async with site() as there:
        command = arguments(records_of(program.folder, engine, team="eu"), there.alertmanager.url)
        running = program.start(*command)
        await asyncio.to_thread(engine.wait_for_probes, 1)
        engine.become(503)
        await until(lambda: there.told == ["firing"], "the alert fires")
        running.kill()
        engine.become(200)
        [standing] = there.alertmanager.alerts()
        program.start(*command)
        await until(lambda: there.told == ["firing", "resolved"], "the alert resolves after the restart")
    fired, resolved = there.alerts
    assert fired["labels"] == resolved["labels"]
    assert {"alertname": "EngineNotAnswering", "game_id": "game-7", "host": "127.0.0.1", "team": "eu"}.items() <= (
        fired["labels"].items()
    )
    assert fired["annotations"]["last_error"] == "unexpected status 503"
    assert fired["generatorURL"] == "https://ops.example/health/?game=game-7"
    began = [datetime.fromisoformat(alert["startsAt"]) for alert in (fired, standing, resolved)]
    assert max(began) - min(began) < timedelta(seconds=1)
    assert datetime.fromisoformat(standing["endsAt"]) > datetime.fromisoformat(resolved["endsAt"])


@needs_alertmanager
async def test_an_alert_that_lasts_over_a_kill_has_the_same_beginning_and_is_told_of_once(
    program: Program, engine: LiveEngine
) -> None:
    async with site() as there:
        command = arguments(records_of(program.folder, engine), there.alertmanager.url)
        running = program.start(*command)
        await asyncio.to_thread(engine.wait_for_probes, 1)
        engine.become(503)
        await until(lambda: there.told == ["firing"], "the alert fires")
        [before] = there.alertmanager.alerts()
        running.kill()
        there.alertmanager.restart()
        program.start(*command)
        await until(there.alertmanager.alerts, "the alert is sent again after both restarts")
        [after] = there.alertmanager.alerts()
        assert (after["startsAt"], after["labels"]) == (before["startsAt"], before["labels"])
        engine.become(200)
        await until(lambda: there.told == ["firing", "resolved"], "the alert resolves")


@needs_alertmanager
async def test_one_alertmanager_of_two_that_is_away_gets_what_is_open_when_it_is_back(
    program: Program, engine: LiveEngine
) -> None:
    async with site() as first:
        with AlertmanagerServer() as second:
            second.kill()
            url = f"{first.alertmanager.url},{second.address}"
            program.start(*arguments(records_of(program.folder, engine), url))
            await asyncio.to_thread(engine.wait_for_probes, 1)
            engine.become(503)
            await until(lambda: first.told == ["firing"], "the alert fires at the one that is there")
            second.start()
            await until(second.alerts, "the alert fires at the other")
            engine.become(200)
            await until(lambda: not second.alerts() and not first.alertmanager.alerts(), "the alert resolves at both")


async def test_a_page_that_was_opened_before_a_kill_is_closed_after_the_restart_by_the_same_key(
    program: Program, engine: LiveEngine
) -> None:
    async with ScriptedPagerDuty() as service:
        command = arguments(records_of(program.folder, engine), service.url)
        running = program.start(*command, PAGERDUTY_KEY=KEY)
        await asyncio.to_thread(engine.wait_for_probes, 1)
        engine.become(503)
        await until(lambda: service.open, "PagerDuty has an open alert")
        running.kill()
        engine.become(200)
        program.start(*command, PAGERDUTY_KEY=KEY)
        await until(lambda: not service.open, "PagerDuty has none")
        trigger, *others = service.events  # it may come again: we were killed at once
    assert (trigger["event_action"], others[-1]["event_action"]) == ("trigger", "resolve")
    assert {event["dedup_key"] for event in service.events} == {trigger["dedup_key"]}
    assert trigger["payload"]["custom_details"]["game_id"] == "game-7"


@pytest.mark.slow
async def test_a_silence_holds_back_the_alert_over_a_kill_and_no_event_and_its_end_raises_it(
    program: Program, engine: LiveEngine
) -> None:
    async with ScriptedPagerDuty() as service:
        records = records_of(program.folder, engine, team="eu")
        command = arguments(records, service.url)
        running = program.start(*command, PAGERDUTY_KEY=KEY)
        await asyncio.to_thread(engine.wait_for_probes, 1)
        made = program("silence", "--label", "team=eu", "--for", "1h", "--reason", "new rack", "--records", records)
        assert (made.returncode, made.stderr.count("1 running game")) == (0, 1)
        await asyncio.sleep(2.0)
        engine.become(503)
        assert (await asyncio.to_thread(next_document, running))["event_type"] == "probe_failed"
        running.kill()
        again = program.start(*command, PAGERDUTY_KEY=KEY)
        await asyncio.sleep(2.0)
        assert service.events == [], "neither before the kill nor after it"
        assert program("silence", "--label", "team=eu", "--end").returncode == 0
        await until(lambda: service.open, "the alert fires, for the incident is still open")
        program("silence", "game-7", "--for", "1h", "--records", records)
        await asyncio.sleep(2.0)
        engine.become(200)
        await until(lambda: not service.open, "it resolves, for its failure was told")
        again.terminate()


@pytest.mark.parametrize("said", [b"<html>Sign in</html>", b""])
async def test_an_alerter_that_is_something_else_delays_no_other(
    program: Program, engine: LiveEngine, said: bytes
) -> None:
    login = Answer(200 if said else 502, said, {"Content-Type": "text/html"})
    async with WebServer(login) as proxy, ScriptedPagerDuty() as service:
        url = f"alertmanager+http://127.0.0.1:{proxy.port}"
        running = program.start(*arguments(records_of(program.folder, engine), url, service.url), PAGERDUTY_KEY=KEY)
        await asyncio.to_thread(engine.wait_for_probes, 1)
        engine.become(503)
        await until(lambda: service.open and len(proxy.asked) > 1, "the alert fires at one, and is tried at the other")
        running.terminate()
        _, log = await asyncio.to_thread(running.communicate)
    assert f"answered {login.status} with a web page; check the URL and its path prefix" in log
    assert KEY not in log


@pytest.mark.slow
async def test_a_page_that_the_delivering_instance_of_a_cluster_opened_is_closed_by_another(
    program: Program, engine: LiveEngine
) -> None:
    with NatsServer() as nats:
        async with ScriptedPagerDuty() as service:
            command = (
                *arguments(records_of(program.folder, engine), service.url),
                *("--cluster", nats.url(), "--lease", "2s"),
            )
            running = {}
            for _ in range(2):
                started = program.start(*command, PAGERDUTY_KEY=KEY)
                running[started.pid] = started
            await asyncio.to_thread(engine.wait_for_probes, 1)
            engine.become(503)
            await until(lambda: service.open, "PagerDuty has an open alert")
            listed = await asyncio.to_thread(program, "cluster", "--cluster", nats.url(), "--json")
            [deliverer] = [each for each in map(json.loads, listed.stdout.splitlines()) if each["duties"]]
            running[deliverer["pid"]].kill()
            engine.become(200)
            await until(lambda: not service.open, "PagerDuty has none")
            trigger, *others = service.events
    assert [event["event_action"] for event in others] == ["resolve"]
    assert {event["dedup_key"] for event in others} == {trigger["dedup_key"]}
