"""Delivery: the relays, the alarms and the retention of a log. In a cluster one instance at a time runs them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from healthprobe.app.retention import Retention
from healthprobe.ports import PublishError
from healthprobe.worker.relay import Relay

if TYPE_CHECKING:
    from healthprobe.adapters.nats import JetStreamLeases
    from healthprobe.alarms.alarms import Alarms
    from healthprobe.worker.static_shards import StaticShards


class Delivery:
    """Runs relays, alarms and retention while `leases` give this instance the duty, or always without `leases`.

    The next instance continues from the cursors in the log. Events that are being delivered when the duty changes hands
    may be delivered again.
    """

    def __init__(
        self,
        relays: tuple[Relay, ...],
        retention: Retention | None,
        leases: JetStreamLeases | StaticShards | None,
        alarms: Alarms | None = None,
    ) -> None:
        self._relays = relays
        self._alarms = alarms
        self._retention = retention
        self._leases = leases
        self._changed = asyncio.Event()
        if leases is not None:
            leases.on_change(self._changed.set)

    @property
    def is_ours(self) -> bool:
        """Whether this instance delivers now."""
        return self._leases is None or self._leases.has_duties

    def wake(self) -> None:
        """Wakes relays and alarms: the log has new events."""
        for relay in self._relays:
            relay.wake()
        if self._alarms is not None:
            self._alarms.wake()

    async def run(self) -> None:
        """Delivers and prunes until cancelled. Raises PublishError if every publisher is closed for good."""
        while True:
            self._changed.clear()
            if self.is_ours:
                await self._run_while_ours()
            else:
                await self._changed.wait()

    async def drain(self, within: float) -> None:
        """Delivers the events that the log has now, for at most `within` seconds, if this instance delivers."""
        if self.is_ours:
            alarms = [] if self._alarms is None else [self._alarms.drain(within)]
            await asyncio.gather(*(relay.drain(within) for relay in self._relays), *alarms)

    async def _run_while_ours(self) -> None:
        tasks = [asyncio.create_task(self._run_relays())]
        if self._retention is not None:
            tasks.append(asyncio.create_task(self._retention.run()))
        try:
            while self.is_ours:
                self._changed.clear()
                changed = asyncio.create_task(self._changed.wait())
                ended, _ = await asyncio.wait({changed, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                for task in ended - {changed}:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_relays(self) -> None:
        alarms = [] if self._alarms is None else [self._alarms.run()]
        await asyncio.gather(*(relay.run() for relay in self._relays), *alarms)
        raise PublishError("stopped: every publisher is closed; the events are kept in the log", permanent=True)
