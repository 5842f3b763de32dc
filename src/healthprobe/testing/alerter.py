"""An alerter in memory, with switches that make it fail."""

from __future__ import annotations

from collections.abc import Sequence

from healthprobe.domain.alert import Alert, ResolvedAlert
from healthprobe.ports import PublishError
from healthprobe.testing.memory import Switches


class InMemoryAlerter(Switches):
    """An Alerter. `open` has the alerts that are open, by key; `fired` and `resolved` keep all that came, in order.

    Alerts whose key is in `unacceptable` are refused for ever (a permanent PublishError); those before it in the same
    batch have arrived. `lose_acknowledgement` makes it take all and then raise.
    """

    error = PublishError

    def __init__(self) -> None:
        super().__init__()
        self.lose_acknowledgement = False
        self.unacceptable: set[str] = set()
        self.open: dict[str, Alert] = {}
        self.fired: list[Alert] = []
        self.resolved: list[ResolvedAlert] = []

    async def fire(self, alerts: Sequence[Alert]) -> None:
        await self.pass_switches()
        for number, alert in enumerate(alerts):
            self._check(alert, number)
            self.open[alert.key] = alert
            self.fired.append(alert)
        self._acknowledge()

    async def resolve(self, alerts: Sequence[ResolvedAlert]) -> None:
        await self.pass_switches()
        for number, resolved in enumerate(alerts):
            self._check(resolved.alert, number)
            self.open.pop(resolved.alert.key, None)
            self.resolved.append(resolved)
        self._acknowledge()

    def _check(self, alert: Alert, number: int) -> None:
        if alert.key in self.unacceptable:
            raise PublishError(f"{alert.key} will never be taken", permanent=True, delivered=number)

    def _acknowledge(self) -> None:
        if self.lose_acknowledgement:
            raise PublishError("the connection broke before the acknowledgement; try again")


class ForgetfulAlerter(InMemoryAlerter):
    """A RepeatingAlerter: its system forgets alerts, as at a restart, when `open` is cleared."""

    repeat_interval = 60.0
