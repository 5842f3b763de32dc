"""Helpers: a scripted Alertmanager, alerters, and their errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from tests.servers.web import Answer, Script, WebServer

from healthprobe.adapters.alertmanager import AlertmanagerAlerter
from healthprobe.domain.alarms.alert import Alert, ResolvedAlert
from healthprobe.ports import PublishError
from healthprobe.testing.contracts.samples import alert_of

TAKEN = Answer(200)
PATIENT = 30.0


def over(alert: Alert, at: datetime | None = None) -> ResolvedAlert:
    return ResolvedAlert(alert=alert, resolved_at=at or datetime.now(UTC))


@asynccontextmanager
async def alerter_of(
    url: str, *, page: str | None = None, timeout: float = PATIENT
) -> AsyncIterator[AlertmanagerAlerter]:
    """Yields the alerter of a URL with one host."""
    [alerter] = AlertmanagerAlerter.of_each_host(url, page=page, timeout=timeout).values()
    try:
        yield alerter
    finally:
        await alerter.aclose()


@asynccontextmanager
async def scripted(
    script: Script = TAKEN, *, rest: str = "", page: str | None = None, timeout: float = PATIENT
) -> AsyncIterator[tuple[WebServer, AlertmanagerAlerter]]:
    """Yields a scripted Alertmanager and an alerter of its URL, with `rest` after the port."""
    async with (
        WebServer(script) as server,
        alerter_of(f"alertmanager+http://127.0.0.1:{server.port}{rest}", page=page, timeout=timeout) as alerter,
    ):
        yield server, alerter


async def refused(alerter: AlertmanagerAlerter, alerts: Sequence[Alert] | None = None) -> PublishError:
    """Returns the error of firing `alerts`, or one alert. It is one line."""
    with pytest.raises(PublishError, match=r"\A[^\n]{10,400}\Z") as raised:
        await alerter.fire([alert_of("game-7")] if alerts is None else alerts)
    return raised.value


async def refused_by(script: Script, *, timeout: float = PATIENT) -> PublishError:
    async with scripted(script, timeout=timeout) as (_, alerter):
        return await refused(alerter)
