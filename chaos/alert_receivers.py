"""The alert receivers: a real Alertmanager and a scripted PagerDuty, and the games that they say do not answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from tests.adapters.pagerduty.service import KEY, ScriptedPagerDuty
from tests.servers.alertmanager import PROGRAM, AlertmanagerServer
from tests.servers.web import Answer, WebServer

from chaos.engines import ALTERED

NOT_INSTALLED = "Alertmanager is not installed; on Debian it is the package prometheus-alertmanager"


class AlertReceiver(Protocol):
    """Somebody who is told of alerts. The game `ALTERED` is left out."""

    name: str

    @property
    def url(self) -> str:
        """The URL of the alerter."""
        ...

    async def firing(self) -> list[str] | None:
        """Returns the games whose alerts fire now, a game for each of its alerts; None while it does not answer."""
        ...

    def fired(self) -> Mapping[str, set[str]]:
        """Returns the games of each alert that was told since `forget`, by a key of the alert."""
        ...

    def forget(self) -> None:
        """Forgets what was told so far."""
        ...


class PagerDutyReceiver:
    """PagerDuty's published API. What it is sent counts as told also where it is not taken."""

    name = "pagerduty"

    def __init__(self, service: ScriptedPagerDuty, key: Path) -> None:
        self.service = service
        self._key = key
        self._fired: dict[str, set[str]] = {}

    @property
    def url(self) -> str:
        return f"pagerduty+http://127.0.0.1:{self.service.server.port}?key=file:{self._key}"

    async def firing(self) -> list[str]:
        return [game for event in list(self.service.open.values()) for game in _games_of_event(event)]

    def fired(self) -> Mapping[str, set[str]]:
        asked = self.service.server.asked
        for request in asked:
            event = request.document
            if event["event_action"] == "trigger":
                self._fired.setdefault(event["dedup_key"], set()).update(_games_of_event(event))
        asked.clear()
        return self._fired

    def forget(self) -> None:
        self.fired()
        self._fired.clear()


class AlertmanagerReceiver:
    """Debian's Alertmanager. Told is what it has notified its own receiver of."""

    name = "alertmanager"

    def __init__(self, server: AlertmanagerServer, hook: WebServer) -> None:
        self.server = server
        self._hook = hook
        self._fired: dict[str, set[str]] = {}

    @property
    def url(self) -> str:
        return self.server.url

    async def firing(self) -> list[str] | None:
        try:
            alerts = await asyncio.to_thread(self.server.alerts)
        except OSError:
            return None
        return [game for alert in alerts for game in _games_of_alert(alert)]

    def fired(self) -> Mapping[str, set[str]]:
        asked = self._hook.asked
        for alert in (alert for request in asked for alert in request.document["alerts"]):
            if alert["status"] == "firing":
                self._fired.setdefault(f"{alert['fingerprint']} {alert['startsAt']}", set()).update(
                    _games_of_alert(alert)
                )
        asked.clear()
        return self._fired

    def forget(self) -> None:
        self.fired()
        self._fired.clear()


class AlertReceivers:
    """Those that are there: PagerDuty, and Alertmanager where it is installed."""

    def __init__(self, pagerduty: PagerDutyReceiver, alertmanager: AlertmanagerReceiver | None) -> None:
        self.pagerduty = pagerduty
        self.alertmanager = alertmanager

    @property
    def all(self) -> list[AlertReceiver]:
        return [self.pagerduty] if self.alertmanager is None else [self.alertmanager, self.pagerduty]

    @property
    def options(self) -> list[str]:
        """The options of `healthprobe run`."""
        return ["--alert-wait", "0", *(part for each in self.all for part in ("--alert", each.url))]


@asynccontextmanager
async def alert_receivers(folder: Path) -> AsyncIterator[AlertReceivers]:
    """Starts the receivers; they end with the context. The key of PagerDuty is a file in `folder`."""
    key = folder / "pagerduty.key"
    key.write_text(KEY)
    key.chmod(0o600)
    async with AsyncExitStack() as stack:
        pagerduty = PagerDutyReceiver(await stack.enter_async_context(ScriptedPagerDuty()), key)
        alertmanager = None
        if PROGRAM is not None:
            hook = await stack.enter_async_context(WebServer(Answer(200)))
            alertmanager = AlertmanagerReceiver(stack.enter_context(AlertmanagerServer(hook.url("/"))), hook)
        yield AlertReceivers(pagerduty, alertmanager)


def differences_of_alerts(
    name: str, firing: Sequence[str] | None, fired: Collection[str], down: Collection[str], failed: Collection[str]
) -> list[str]:
    """Compares the alerts of a receiver with the oracle: the games that are `down`, and those that ever `failed`.

    `firing` has the games whose alerts fire, `fired` the games of all alerts that were told.
    """
    if firing is None:
        return [f"{name}: does not answer"]
    counts = Counter(firing)
    return [
        *(f"{name}: no alert fires for {game}, whose incident is open" for game in sorted(set(down) - counts.keys())),
        *(f"{name}: an alert fires for {game}, which answers" for game in sorted(counts.keys() - set(down))),
        *(f"{name}: {count} alerts fire for {game}" for game, count in sorted(counts.items()) if count > 1),
        *(f"{name}: an alert fired for {game}, which never failed" for game in sorted(set(fired) - set(failed))),
    ]


def _games_of_event(event: Mapping[str, Any]) -> list[str]:
    return _games(event["payload"]["custom_details"], event["payload"]["custom_details"])


def _games_of_alert(alert: Mapping[str, Any]) -> list[str]:
    return _games(alert["labels"], alert["annotations"])


def _games(labels: Mapping[str, str], texts: Mapping[str, str]) -> list[str]:
    games = texts["games"].split(", ") if "games" in texts else [labels["game_id"]]
    return [game for game in games if game != ALTERED]
