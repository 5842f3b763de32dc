"""Alerters keep their port's promises: in memory, on a real Alertmanager, on a scripted PagerDuty."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping

import pytest
from tests.adapters.pagerduty.service import ScriptedPagerDuty
from tests.servers.alertmanager import AlertmanagerServer, needs_alertmanager

from healthprobe.adapters.alertmanager import AlertmanagerAlerter
from healthprobe.adapters.pagerduty import PagerDutyAlerter
from healthprobe.testing.contracts import AlerterContract
from healthprobe.testing.contracts.alerter import OpenAlerts
from healthprobe.testing.memory import InMemoryAlerter


class InMemoryContract(AlerterContract):
    kind: type[InMemoryAlerter]

    @pytest.fixture
    def alerter(self) -> InMemoryAlerter:
        return self.kind()

    @pytest.fixture
    def open_alerts(self, alerter: InMemoryAlerter) -> OpenAlerts:
        async def open_alerts() -> Collection[Mapping[str, str]]:
            return [alert.labels for alert in alerter.open.values()]

        return open_alerts

    @pytest.fixture
    def unreachable(self) -> InMemoryAlerter:
        alerter = self.kind()
        alerter.unavailable = True
        return alerter


class TestInMemory(InMemoryContract):
    kind = InMemoryAlerter


class Repeating(InMemoryAlerter):
    repeat_interval = 60.0


class TestRepeatingInMemory(InMemoryContract):
    kind = Repeating


@pytest.fixture(scope="module")
def server() -> Iterator[AlertmanagerServer]:
    with AlertmanagerServer() as server:
        yield server


@needs_alertmanager
class TestAlertmanager(AlerterContract):
    @pytest.fixture
    async def alerter(self, server: AlertmanagerServer) -> AsyncIterator[AlertmanagerAlerter]:
        [alerter] = AlertmanagerAlerter.of_each_host(server.url).values()
        yield alerter
        await alerter.aclose()
        server.resolve_all()

    @pytest.fixture
    def open_alerts(self, server: AlertmanagerServer) -> OpenAlerts:
        async def open_alerts() -> Collection[Mapping[str, str]]:
            return [alert["labels"] for alert in server.alerts()]

        return open_alerts

    @pytest.fixture
    async def unreachable(self) -> AsyncIterator[AlertmanagerAlerter]:
        [alerter] = AlertmanagerAlerter.of_each_host("alertmanager+http://127.0.0.1:1").values()
        yield alerter
        await alerter.aclose()


class TestPagerDuty(AlerterContract):
    @pytest.fixture
    async def service(self) -> AsyncIterator[ScriptedPagerDuty]:
        async with ScriptedPagerDuty() as service:
            yield service

    @pytest.fixture
    async def alerter(
        self, service: ScriptedPagerDuty, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[PagerDutyAlerter]:
        alerter = service.alerter(monkeypatch)
        yield alerter
        await alerter.aclose()

    @pytest.fixture
    def open_alerts(self, service: ScriptedPagerDuty) -> OpenAlerts:
        async def open_alerts() -> Collection[Mapping[str, str]]:
            return service.open_labels()

        return open_alerts

    @pytest.fixture
    async def unreachable(self, service: ScriptedPagerDuty, alerter: PagerDutyAlerter) -> PagerDutyAlerter:
        await service.server.go_away()
        return alerter
