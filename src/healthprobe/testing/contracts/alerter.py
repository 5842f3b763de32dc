"""The contract of an Alerter as a pytest suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from healthprobe.domain.alarms.alert import GROUP_NOT_ANSWERING, Alert, ResolvedAlert
from healthprobe.ports import Alerter, PublishError, RepeatingAlerter
from healthprobe.testing.contracts.samples import ODD_GAME_IDS, alert_of

OpenAlerts = Callable[[], Awaitable[Collection[Mapping[str, str]]]]
"""Returns the labels of each alert that is open at the on-call system now; there may be more labels than were given."""


@pytest.mark.asyncio
class AlerterContract:
    """Subclass it as `class TestMyAlerter(AlerterContract)` and define three fixtures.

    `alerter` gives alerts to a system that `open_alerts` asks; `unreachable` is an alerter whose system is down.
    """

    async def test_a_fired_alert_is_open_when_fire_returns(self, alerter: Alerter, open_alerts: OpenAlerts) -> None:
        alert = alert_of("game-7", labels={"host": "host-3", "team": "eu"})
        await alerter.fire([alert])
        [labels] = await open_alerts()
        assert alert.labels.items() <= labels.items()

    async def test_an_alert_that_is_fired_again_is_open_once(self, alerter: Alerter, open_alerts: OpenAlerts) -> None:
        for _ in range(3):
            await alerter.fire([alert_of("game-7")])
        assert await games(open_alerts) == ["game-7"]

    async def test_an_alert_with_a_new_summary_is_the_same(self, alerter: Alerter, open_alerts: OpenAlerts) -> None:
        alert = alert_of("game-7")
        await alerter.fire([alert])
        await alerter.fire([replace(alert, summary="game-7 has not answered for an hour", last_error="timed out")])
        assert await games(open_alerts) == ["game-7"]
        await alerter.resolve([over(alert)])
        assert await games(open_alerts) == []

    async def test_a_resolved_alert_is_closed_when_resolve_returns(
        self, alerter: Alerter, open_alerts: OpenAlerts
    ) -> None:
        seventh, eighth = alert_of("game-7"), alert_of("game-8")
        await alerter.fire([seventh, eighth])
        await alerter.resolve([over(seventh)])
        assert await games(open_alerts) == ["game-8"]
        await alerter.resolve([over(eighth)])
        assert await games(open_alerts) == []

    async def test_to_resolve_what_is_not_open_is_no_error(self, alerter: Alerter, open_alerts: OpenAlerts) -> None:
        alert = alert_of("game-7")
        await alerter.resolve([over(alert)])
        await alerter.fire([alert])
        await alerter.resolve([over(alert)])
        await alerter.resolve([over(alert)])
        assert await games(open_alerts) == []

    async def test_the_next_incident_of_a_game_opens_an_alert_of_its_own(
        self, alerter: Alerter, open_alerts: OpenAlerts
    ) -> None:
        first, second = alert_of("game-7", incident=1, minutes_ago=30), alert_of("game-7", incident=2, minutes_ago=1)
        await alerter.fire([first])
        await alerter.resolve([over(first, minutes_ago=20)])
        await alerter.fire([second])
        assert await games(open_alerts) == ["game-7"]
        await alerter.resolve([over(second)])
        assert await games(open_alerts) == []

    async def test_a_group_is_one_alert(self, alerter: Alerter, open_alerts: OpenAlerts) -> None:
        group = replace(
            alert_of("game-7", labels={"host": "host-3"}),
            name=GROUP_NOT_ANSWERING,
            labels={"host": "host-3"},
            game_ids=tuple(f"game-{number}" for number in range(90)),
            group_size=100,
        )
        await alerter.fire([group])
        await alerter.fire([replace(group, game_ids=(*group.game_ids, "game-90"), summary="91 of 100 games of host-3")])
        assert [labels["host"] for labels in await open_alerts()] == ["host-3"]
        await alerter.resolve([over(group)])
        assert not await open_alerts()

    async def test_an_alert_that_was_over_at_once_is_closed(self, alerter: Alerter, open_alerts: OpenAlerts) -> None:
        alert = alert_of("game-7", minutes_ago=1)
        await alerter.fire([alert])
        await alerter.resolve([ResolvedAlert(alert=alert, resolved_at=alert.started_at)])
        assert await games(open_alerts) == []

    async def test_no_alerts_are_allowed(self, alerter: Alerter, open_alerts: OpenAlerts) -> None:
        await alerter.fire([])
        await alerter.resolve([])
        assert not await open_alerts()

    async def test_odd_game_ids_and_long_texts_fire_and_resolve(
        self, alerter: Alerter, open_alerts: OpenAlerts
    ) -> None:
        alerts = [replace(alert_of(game_id), summary="é" * 5000, last_error="é" * 500) for game_id in ODD_GAME_IDS]
        await alerter.fire(alerts)
        assert await games(open_alerts) == sorted(ODD_GAME_IDS)
        await alerter.resolve([over(alert) for alert in alerts])
        assert await games(open_alerts) == []

    async def test_a_thousand_alerts_fire_and_resolve(self, alerter: Alerter, open_alerts: OpenAlerts) -> None:
        alerts = [alert_of(f"game-{number}") for number in range(1000)]
        await alerter.fire(alerts)
        assert len(await open_alerts()) == 1000
        await alerter.resolve([over(alert) for alert in alerts[:999]])
        assert await games(open_alerts) == ["game-999"]

    async def test_a_system_that_is_down_raises_an_error_of_one_line(self, unreachable: Alerter) -> None:
        alerts: Sequence[Alert] = [alert_of("game-7"), alert_of("game-8")]
        with pytest.raises(PublishError, match=r"\A[^\n]{10,300}\Z") as raised:
            await unreachable.fire(alerts)
        assert (raised.value.permanent, raised.value.delivered) == (False, 0)
        with pytest.raises(PublishError, match=r"\A[^\n]{10,300}\Z") as raised:
            await unreachable.resolve([over(alert) for alert in alerts])
        assert (raised.value.permanent, raised.value.delivered) == (False, 0)

    async def test_an_interval_of_repetition_is_positive(self, alerter: Alerter) -> None:
        assert not isinstance(alerter, RepeatingAlerter) or alerter.repeat_interval > 0


async def games(open_alerts: OpenAlerts) -> list[str]:
    """Returns the games of the open alerts, sorted."""
    return sorted(labels["game_id"] for labels in await open_alerts())


def over(alert: Alert, *, minutes_ago: float = 0.0) -> ResolvedAlert:
    return ResolvedAlert(alert=alert, resolved_at=datetime.now(UTC) - timedelta(minutes=minutes_ago))
