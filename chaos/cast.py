"""The cast: the program with its log and its publishers, before the engines; it performs one row after the other."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from tests.servers.web import WebServer

from chaos.consumers import Consumer, FileConsumer, StreamConsumer, WebhookConsumer
from chaos.event_log import ReadableLog
from chaos.patience import Impatient, until
from chaos.program import Program
from chaos.row import Row
from chaos.stage import Stage
from chaos.verdict import Verdict, judged


@dataclass(frozen=True, slots=True)
class Marks:
    """How everything stood when a row began."""

    began: float
    expected: Counter[str]
    in_log: Counter[str]
    deliveries: dict[str, tuple[int, int]]
    """By consumer: how many events had arrived, and how many of them again."""


class Cast:
    """`play` has the engines, `program` watches them, `log` and `consumers` are told. Faults are done to these."""

    program: Program
    log: ReadableLog
    web: WebServer

    def __init__(self, stage: Stage) -> None:
        self.form = stage.form
        self.chance = stage.chance
        self.play = stage.play
        self.consumers: list[Consumer] = []
        self.stage = stage
        self.struck = 0
        self._already = (0, 0)
        self._worst_delivery = 0.0

    async def enter(self, stack: AsyncExitStack, name: str, log_url: str, log: ReadableLog, redis_port: int) -> None:
        """Begin the program, with its log at `log_url`, and with three publishers whose consumers are ours."""
        folder = self.stage.folder / name
        folder.mkdir()
        self.log = log
        stack.push_async_callback(log.aclose)
        webhook = WebhookConsumer()
        self.web = await stack.enter_async_context(WebServer(webhook.take))
        file = folder / "events.jsonl"
        self.consumers = [StreamConsumer(self.stage.redis.port, name), webhook, FileConsumer(file)]
        for consumer in self.consumers:
            stack.push_async_callback(consumer.aclose)
        publishers = [
            self.stage.redis.url(f"/0?stream={name}", port=redis_port),
            self.web.url("/events"),
            f"file:{file}",
        ]
        arguments = ["--records", f"file:{self.stage.records}", "--log", log_url, *self.form.options]
        arguments += [part for url in publishers for part in ("--publish", url)]
        self.program = await stack.enter_async_context(Program(folder, arguments))

    async def perform(self, name: str, fault: Callable[[], Awaitable[None]]) -> Row:
        """One row: `fault`, until everything has arrived where it belongs, and then the verdict."""
        problems: list[str] = []
        try:
            marks = await self._mark()
        except Impatient as impatient:
            return Row(name, differences=(str(impatient),))
        try:
            await fault()
            await self.everything_arrives()
        except Impatient as impatient:
            problems.append(str(impatient))
        return await self._row(name, marks, problems)

    async def calm(self) -> None:
        """All engines are well, and for three intervals nobody has had anything to tell: a fresh start after errors."""
        await self.play.all_recover()
        in_log = -1
        while in_log < await self.log.count():
            in_log = await self.log.count()
            await asyncio.sleep(3 * self.form.interval)
        with suppress(Impatient):
            await until(lambda: self._have(in_log), "every consumer has what the log has", within=self.form.patience)

    @asynccontextmanager
    async def acting(self) -> AsyncIterator[None]:
        """Act after act goes over the engines meanwhile, each for as long as the log needs to have told of it."""
        enough = asyncio.Event()

        async def act_after_act() -> None:
            while not enough.is_set():
                await self.play.act()
                await self.log_has_all()

        acts = asyncio.create_task(act_after_act())
        try:
            yield
            enough.set()
            await acts
        finally:
            acts.cancel()
            await asyncio.gather(acts, return_exceptions=True)

    async def over(self, *, at_most: float | None = None) -> None:
        """A fault has just ended: wait until each consumer has all that engines did up to now, and note how long.

        Raises Impatient where that took longer than `at_most` seconds.
        """
        due = self.events_due
        took = await until(lambda: self._have(due), "everything is delivered", within=self.form.patience)
        self._worst_delivery = max(self._worst_delivery, took)
        if at_most is not None and took > at_most:
            raise Impatient(f"everything was delivered after {took:.1f}s, and should have been after {at_most:g}s")

    async def some_time(self, longest: float) -> None:
        """A time of chance, in seconds."""
        await asyncio.sleep(self.chance.uniform(0.0, longest))

    async def log_grows(self, events: int, *, at_least: float = 0.0) -> None:
        """Wait until the log has so many events more than now, and so many seconds have passed."""
        began, enough = time.monotonic(), await self.log.count() + events
        await self._log_counts(enough)
        await asyncio.sleep(began + at_least - time.monotonic())

    async def log_has_all(self) -> None:
        """Wait until the log has all that the engines did up to now."""
        await self._log_counts(self.events_due)

    async def everything_arrives(self) -> None:
        """Wait until the log has all that the engines did, and each consumer all that the log has."""
        await self.log_has_all()
        in_log = await self.log.count()
        await until(lambda: self._have(in_log), "every consumer has what the log has", within=self.form.patience)

    @property
    def programs(self) -> Sequence[Program]:
        """Those that watch the engines."""
        return [self.program]

    def may_be_slowness(self, _verdict: Verdict, _problems: Sequence[str]) -> bool:
        """Whether engines that answered late can be why a row differs so."""
        return True

    @property
    def events_due(self) -> int:
        """How many events the log must hold for what the engines did up to now."""
        in_log, expected = self._already
        return in_log + self.play.oracle.total - expected

    async def _log_counts(self, events: int) -> None:
        async def holds_them() -> bool:
            return await self.log.count() >= events

        await until(holds_them, f"the log holds {events:,} events", within=self.form.patience)

    async def _have(self, events: int) -> bool:
        for consumer in self.consumers:
            await consumer.look()
        return all(len(consumer.arrived) >= events for consumer in self.consumers)

    async def _mark(self) -> Marks:
        for program in self.programs:
            await program.is_up(self.form.patience)
        log = await self.log.events()
        self._already = (len(log), self.play.oracle.total)
        self._worst_delivery = self.stage.canary.slowest = 0.0
        self.struck = 0
        for program in self.programs:
            program.unasked_ends.clear()
        return Marks(
            time.monotonic(),
            Counter({game_id: len(events) for game_id, events in self.play.oracle.expected().items()}),
            Counter(event["game_id"] for event in log),
            {each.name: (len(each.arrived), each.repeated) for each in self.consumers},
        )

    async def _row(self, name: str, marks: Marks, problems: Sequence[str]) -> Row:
        log = await self.log.events()
        expected = {game: due[marks.expected[game] :] for game, due in self.play.oracle.expected().items()}
        verdict = judged(expected, marks.in_log, log, self.consumers)
        return Row(
            fault=name,
            struck=self.struck,
            ticks=round((time.monotonic() - marks.began) / self.form.interval),
            expected=sum(map(len, expected.values())),
            in_log=len(log) - marks.in_log.total(),
            delivered={each.name: len(each.arrived) - marks.deliveries[each.name][0] for each in self.consumers},
            repeated={each.name: each.repeated - marks.deliveries[each.name][1] for each in self.consumers},
            lost=verdict.lost,
            duplicated=verdict.duplicated,
            breaks=verdict.breaks,
            worst_delivery=self._worst_delivery,
            differences=(*problems, *verdict.differences),
            notes=(*self._ends(), *self._slowness()),
            disturbed=bool(self._slowness()) and self.may_be_slowness(verdict, problems),
        )

    def _ends(self) -> list[str]:
        """What the program itself gave as the reason to end, and how often."""
        ends = Counter(words for program in self.programs for words in program.unasked_ends)
        return [f"{words} ({times} times)" for words, times in ends.most_common(3)]

    def _slowness(self) -> list[str]:
        slowest = self.stage.canary.slowest
        return [f"engines took up to {slowest:.2f}s to answer"] if slowest > self.form.timeout / 2 else []
