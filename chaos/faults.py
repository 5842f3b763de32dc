"""The faults: each a story of a few lines, done to a cast whose engines act meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tests.servers.web import Answer, silent

from chaos.cast import Cast
from chaos.casts import Line, PostgresCast, ProxiedCast, SqliteCast
from chaos.patience import to_its_end, until

HOUR = 3600.0

CUTS = 4
MOST_SENT = 4000
"""How often a connection is cut in one stroke, and how many bytes a server is sent before at the most."""

SOON = 10.0
"""The longest that it may take until a bus that was away for five minutes has everything, in seconds."""

AnyCast = TypeVar("AnyCast", bound=Cast)


@dataclass(frozen=True, slots=True)
class Fault(Generic[AnyCast]):
    """`name` is for the command line, `told` for the report.

    `perform` returns when the fault is over. Raises Impatient where what must come does not come.
    """

    name: str
    told: str
    perform: Callable[[AnyCast], Awaitable[None]]


async def kill_healthprobe(cast: Cast) -> None:
    async with cast.acting():
        for _ in range(cast.form.strokes):
            for _ in range(2):
                await cast.some_time(cast.form.life)
                cast.program.kill()
            await cast.over()


async def kill_postgres(cast: PostgresCast) -> None:
    async with cast.acting():
        for _ in range(cast.form.strokes):
            await cast.some_time(cast.form.rest)
            cast.postgres.kill()
            await cast.some_time(cast.chance.choice((0.0, cast.form.life)))
            await to_its_end(cast.postgres.start)
            await cast.over()


async def kill_redis(cast: PostgresCast) -> None:
    async with cast.acting():
        for _ in range(cast.form.strokes):
            await cast.some_time(cast.form.rest)
            cast.redis.kill()
            await cast.some_time(cast.chance.choice((0.0, cast.form.life)))
            await to_its_end(cast.redis.start)
            await cast.over()


async def redis_away(cast: PostgresCast) -> None:
    async with cast.acting():
        cast.redis.kill()
        await cast.log_grows(cast.form.transitions, at_least=cast.form.away)
        await to_its_end(cast.redis.start)
        await cast.over(at_most=SOON)


async def webhook_away(cast: PostgresCast) -> None:
    """Away in three ways: it refuses connections, it answers 503, it takes requests and is silent."""
    third = cast.form.transitions // 3
    at_work = cast.web.script
    async with cast.acting():
        await cast.web.go_away()
        await cast.log_grows(third)
        cast.web.script = Answer(503)
        await cast.web.come_back()
        await cast.log_grows(third)
        cast.web.script = silent
        await cast.log_grows(third)
        await cast.web.go_away()
        cast.web.script = at_work
        await cast.web.come_back()
        await cast.over()


async def postgres_away_as_all_fail(cast: PostgresCast) -> None:
    for _ in range(max(cast.form.strokes // 4, 1)):
        cast.postgres.kill()
        await cast.play.all_fail()
        await asyncio.sleep(cast.form.away)
        await to_its_end(cast.postgres.start)
        await cast.over()
        await cast.play.all_recover()
        await cast.over()


async def pause_healthprobe(cast: Cast) -> None:
    async with cast.acting():
        for _ in range(cast.form.strokes):
            await cast.some_time(cast.form.rest)
            cast.program.pause()
            await asyncio.sleep(3 * cast.form.interval)
            cast.program.resume()
            await cast.over()


async def step_the_clock(cast: PostgresCast) -> None:
    async with cast.stepped_clock() as step, cast.acting():
        for offset in (HOUR, -HOUR):
            step(offset)
            await cast.log_grows(cast.form.transitions // 6)
            await cast.over()


async def cut_postgres(cast: ProxiedCast) -> None:
    await _cut(cast, cast.to_postgres, most_answered=2000)


async def cut_redis(cast: ProxiedCast) -> None:
    await _cut(cast, cast.to_redis, most_answered=20)


async def _cut(cast: ProxiedCast, line: Line, most_answered: int) -> None:
    """After a number of bytes of chance, in turn: of answers, so that what was asked is done and its acknowledgement
    is lost or torn, and of what the server is sent, so that it gets half a statement.
    """

    async def comes_back() -> bool:
        return line.answers.connections > before

    async with cast.acting():
        for _ in range(cast.form.strokes):
            for number in range(CUTS):
                await cast.some_time(cast.form.rest)
                before = line.answers.connections
                if number % 2 == 0:
                    line.answers.cut_after(cast.chance.randint(0, most_answered))
                else:
                    line.sent.after(cast.chance.randint(0, MOST_SENT))
                await until(comes_back, "healthprobe connects again", within=cast.form.patience)
            await cast.over()


async def fill_the_disk(cast: SqliteCast) -> None:
    async with cast.acting():
        for _ in range(max(cast.form.strokes // 3, 1)):
            async with cast.disk.full():
                await cast.program.says("publish health event", within=cast.form.patience)
                await cast.some_time(cast.form.rest)
            await cast.over()


ON_POSTGRES: tuple[Fault[PostgresCast], ...] = (
    Fault("kill-healthprobe", "kill -9 of healthprobe at random moments", kill_healthprobe),
    Fault("kill-postgres", "kill -9 of PostgreSQL", kill_postgres),
    Fault("kill-redis", "kill -9 of Redis", kill_redis),
    Fault("redis-away", "Redis away", redis_away),
    Fault("webhook-away", "webhook away: refusing, 503, silent", webhook_away),
    Fault("mass-failure", "PostgreSQL away as all engines fail at once", postgres_away_as_all_fail),
    Fault("pause", "SIGSTOP of healthprobe for three intervals", pause_healthprobe),
    Fault("clock", "wall clock stepped by an hour each way", step_the_clock),
)
THROUGH_PROXIES: tuple[Fault[ProxiedCast], ...] = (
    Fault("cut-postgres", "connections to PostgreSQL cut in mid-append", cut_postgres),
    Fault("cut-redis", "connections to Redis cut, acknowledgements lost", cut_redis),
)
ON_SQLITE: tuple[Fault[SqliteCast], ...] = (
    Fault("kill-on-sqlite", "kill -9 of healthprobe, log in SQLite", kill_healthprobe),
    Fault("full-disk", "disk full under SQLite", fill_the_disk),
)

NAMES = [
    *(fault.name for fault in ON_POSTGRES),
    *(fault.name for fault in THROUGH_PROXIES),
    *(fault.name for fault in ON_SQLITE),
]
"""What `--only` knows."""
