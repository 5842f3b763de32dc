"""A deployment: the program with its log and its publishers. Faults are injected into it, one row after the other."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from tests.servers.web import WebServer

from chaos.alert_receivers import (
    AlertmanagerReceiver,
    AlertReceiver,
    AlertReceivers,
    alert_receivers,
    differences_of_alerts,
)
from chaos.consumers import Consumer, FileConsumer, StreamConsumer, WebhookConsumer
from chaos.environment import Environment
from chaos.event_log import ReadableLog
from chaos.program import Program
from chaos.verdict import Row, Verdict, judged
from chaos.waiting import WaitedTooLong, until
from healthprobe.adapters.alertmanager.alerter import REPEAT_INTERVAL

_ASK_FOR_ALERTS_EVERY = 0.2
_ALERTS_STAY = 1.5
"""For how long no other alert may fire before the alerts are judged, in seconds: the alarm stage looks every second."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The state when a row began."""

    began: float
    expected: Counter[str]
    in_log: Counter[str]
    deliveries: dict[str, tuple[int, int]]
    """By consumer: how many events had arrived, and how many of these repeatedly."""


class Deployment:
    """`program` watches `engines`, writes to `log`, publishes to `consumers` and has `alerted` told of what is open.

    Faults are injected into these.
    """

    program: Program
    log: ReadableLog
    web: WebServer

    def __init__(self, environment: Environment) -> None:
        self.form = environment.form
        self.chance = environment.chance
        self.engines = environment.engines
        self.consumers: list[Consumer] = []
        self.alerted: AlertReceivers | None = None
        self.environment = environment
        self.injected = 0
        self._already = (0, 0)
        self._worst_delivery = 0.0
        self._worst_alert = 0.0

    async def enter(
        self,
        stack: AsyncExitStack,
        name: str,
        log_url: str,
        log: ReadableLog,
        redis_port: int,
        *,
        alert_group: str = "none",
    ) -> None:
        """Starts the program with its log at `log_url`, three publishers, each with a consumer, and alert receivers."""
        folder = self.environment.folder / name
        folder.mkdir()
        self.log = log
        stack.push_async_callback(log.aclose)
        webhook = WebhookConsumer()
        self.web = await stack.enter_async_context(WebServer(webhook.take))
        file = folder / "events.jsonl"
        self.consumers = [StreamConsumer(self.environment.redis.port, name), webhook, FileConsumer(file)]
        for consumer in self.consumers:
            stack.push_async_callback(consumer.aclose)
        publishers = [
            self.environment.redis.url(f"/0?stream={name}", port=redis_port),
            self.web.url("/events"),
            f"file:{file}",
        ]
        arguments = ["--records", f"file:{self.environment.records}", "--log", log_url, *self.form.options]
        arguments += [part for url in publishers for part in ("--publish", url)]
        self.alerted = await stack.enter_async_context(alert_receivers(folder))
        arguments += [*self.alerted.options, "--alert-group", alert_group]
        self.program = await stack.enter_async_context(Program(folder, arguments))

    async def run(self, name: str, fault: Callable[[], Awaitable[None]]) -> Row:
        """Injects `fault`, waits until every consumer has received everything, and returns the verdict as a row."""
        problems: list[str] = []
        try:
            baseline = await self._baseline()
        except WaitedTooLong as waited:
            return Row(name, differences=(str(waited),))
        try:
            await fault()
            await self.wait_for_delivery()
            await self.alerts_settle()
            await asyncio.sleep(_ALERTS_STAY if self.alert_receivers else 0.0)
        except WaitedTooLong as waited:
            problems.append(str(waited))
        return await self._row(name, baseline, problems)

    async def differences_at_the_end(self) -> list[str]:
        """Lets all engines recover, and returns what the receivers of alerts then have that they should not."""
        await self.engines.all_recover()
        try:
            await self.wait_for_log()
            await self.alerts_settle()
        except WaitedTooLong as waited:
            return [f"at the end: {waited}", *await self._differences_of_alerts()]
        return await self._differences_of_alerts()

    async def recover_and_settle(self) -> None:
        """Lets all engines recover and waits until no event has been written for three intervals."""
        await self.engines.all_recover()
        in_log = -1
        while in_log < await self.log.count():
            in_log = await self.log.count()
            await asyncio.sleep(3 * self.form.interval)
        with suppress(WaitedTooLong):
            await until(lambda: self._have(in_log), "every consumer has what the log has", within=self.form.patience)
            await self.alerts_settle()

    @asynccontextmanager
    async def changing_engines(self) -> AsyncIterator[None]:
        """Keeps changing engines inside the context, waiting after each change until the log has its events."""
        enough = asyncio.Event()

        async def keep_changing() -> None:
            while not enough.is_set():
                await self.engines.change_some()
                await self.wait_for_log()

        acts = asyncio.create_task(keep_changing())
        try:
            yield
            enough.set()
            await acts
        finally:
            acts.cancel()
            await asyncio.gather(acts, return_exceptions=True)

    async def settles(self, *, at_most: float | None = None) -> None:
        """Waits, after a fault, until each consumer has received everything, and records how long that took.

        Raises WaitedTooLong if it took longer than `at_most` seconds.
        """
        due = self.events_due
        took = await until(lambda: self._have(due), "everything is delivered", within=self.form.patience)
        self._worst_delivery = max(self._worst_delivery, took)
        if at_most is not None and took > at_most:
            raise WaitedTooLong(f"everything was delivered after {took:.1f}s; the limit is {at_most:g}s")

    async def alerts_settle(self, *, without: AlertReceiver | None = None) -> None:
        """Waits until the alerts that fire are those of the engines that fail, at all receivers but `without`."""
        receivers = [each for each in self.alert_receivers if each is not without]

        async def agree() -> bool:
            await asyncio.sleep(_ASK_FOR_ALERTS_EVERY)
            firing = [await each.firing() for each in receivers]
            return all(games is not None and sorted(games) == sorted(self.engines.down) for games in firing)

        if receivers:
            names = " and ".join(each.name for each in receivers)
            took = await until(
                agree, f"{names}: an alert for each incident", within=self.form.patience + REPEAT_INTERVAL
            )
            self._worst_alert = max(self._worst_alert, took)

    async def wait_at_most(self, longest: float) -> None:
        """Waits for a random time of `longest` seconds at most."""
        await asyncio.sleep(self.chance.uniform(0.0, longest))

    async def wait_for_log_to_grow(self, events: int, *, at_least: float = 0.0) -> None:
        """Waits until the log has `events` more events, and for `at_least` seconds."""
        began, enough = time.monotonic(), await self.log.count() + events
        await self._log_counts(enough)
        await asyncio.sleep(began + at_least - time.monotonic())

    async def wait_for_log(self) -> None:
        """Waits until the log has an event for everything that the engines have done."""
        await self._log_counts(self.events_due)

    async def wait_for_delivery(self) -> None:
        """Waits until the log has everything that the engines have done, and each consumer everything in the log."""
        await self.wait_for_log()
        in_log = await self.log.count()
        await until(lambda: self._have(in_log), "every consumer has what the log has", within=self.form.patience)

    @property
    def programs(self) -> Sequence[Program]:
        """The programs that watch the engines."""
        return [self.program]

    @property
    def alert_receivers(self) -> Sequence[AlertReceiver]:
        return [] if self.alerted is None else self.alerted.all

    @property
    def alertmanager(self) -> AlertmanagerReceiver:
        """The Alertmanager, where it is installed."""
        assert self.alerted is not None
        assert self.alerted.alertmanager is not None
        return self.alerted.alertmanager

    def may_be_slowness(self, _verdict: Verdict, _problems: Sequence[str]) -> bool:
        """Returns whether engines that answered late can explain the differences of a row."""
        return True

    @property
    def events_due(self) -> int:
        """How many events the log must hold for what the engines have done so far."""
        in_log, expected = self._already
        return in_log + self.engines.oracle.total - expected

    async def _log_counts(self, events: int) -> None:
        async def holds_them() -> bool:
            return await self.log.count() >= events

        await until(holds_them, f"the log holds {events:,} events", within=self.form.patience)

    async def _have(self, events: int) -> bool:
        for consumer in self.consumers:
            await consumer.look()
        return all(len(consumer.arrived) >= events for consumer in self.consumers)

    async def _baseline(self) -> Baseline:
        for program in self.programs:
            await program.is_up(self.form.patience)
        log = await self.log.events()
        self._already = (len(log), self.engines.oracle.total)
        self._worst_delivery = self._worst_alert = self.environment.canary.slowest = 0.0
        self.injected = 0
        for program in self.programs:
            program.unexpected_ends.clear()
        for receiver in self.alert_receivers:
            receiver.forget()
        return Baseline(
            time.monotonic(),
            Counter({game_id: len(events) for game_id, events in self.engines.oracle.expected().items()}),
            Counter(event["game_id"] for event in log),
            {each.name: (len(each.arrived), each.repeated) for each in self.consumers},
        )

    async def _row(self, name: str, baseline: Baseline, problems: Sequence[str]) -> Row:
        log = await self.log.events()
        expected = {game: due[baseline.expected[game] :] for game, due in self.engines.oracle.expected().items()}
        verdict = judged(expected, baseline.in_log, log, self.consumers)
        alerts = await self._differences_of_alerts()
        return Row(
            fault=name,
            injected=self.injected,
            ticks=round((time.monotonic() - baseline.began) / self.form.interval),
            expected=sum(map(len, expected.values())),
            in_log=len(log) - baseline.in_log.total(),
            delivered={each.name: len(each.arrived) - baseline.deliveries[each.name][0] for each in self.consumers},
            repeated={each.name: each.repeated - baseline.deliveries[each.name][1] for each in self.consumers},
            lost=verdict.lost,
            duplicated=verdict.duplicated,
            breaks=verdict.breaks,
            worst_delivery=self._worst_delivery,
            alerts={each.name: len(each.fired()) for each in self.alert_receivers},
            incidents_open=len(self.engines.down) if self.alert_receivers else None,
            worst_alert=self._worst_alert,
            differences=(*problems, *verdict.differences, *alerts),
            notes=(*self._ends(), *self._slowness()),
            disturbed=bool(self._slowness()) and self.may_be_slowness(verdict, problems),
        )

    async def _differences_of_alerts(self) -> list[str]:
        down, failed = self.engines.down, self.engines.oracle.failed
        return [
            difference
            for each in self.alert_receivers
            for difference in differences_of_alerts(
                each.name, await each.firing(), set().union(*each.fired().values()), down, failed
            )
        ]

    def _ends(self) -> list[str]:
        """Returns the reasons that the program gave for unexpected ends, and how often."""
        ends = Counter(words for program in self.programs for words in program.unexpected_ends)
        return [f"{words} ({times} times)" for words, times in ends.most_common(3)]

    def _slowness(self) -> list[str]:
        slowest = self.environment.canary.slowest
        return [f"engines took up to {slowest:.2f}s to answer"] if slowest > self.form.timeout / 2 else []
