"""The faults: each a function of a few lines, applied to a deployment while its engines change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tests.servers.web import Answer, silent

from chaos.deployment import Deployment
from chaos.deployments import Line, PostgresDeployment, ProxiedDeployment, SqlDeployment, SqliteDeployment
from chaos.waiting import finish, until
from healthprobe.testing.engines import OK

HOUR = 3600.0

CUTS = 4
MOST_SENT = 4000
"""How often a connection is cut each time, and how many bytes at most the server is sent before."""

SOON = 10.0
"""How long it may take until a bus that was down for five minutes has everything, in seconds."""

LOCKED = 30.0
"""For how long another program locks the log, in seconds."""

AnyDeployment = TypeVar("AnyDeployment", bound=Deployment)


@dataclass(frozen=True, slots=True)
class Fault(Generic[AnyDeployment]):
    """`name` is for the command line, `title` for the report.

    `inject` returns when the fault is over. Raises WaitedTooLong if what must happen does not. Unless it `may_repeat`
    deliveries, for it breaks off some whose acknowledgement is lost, each consumer must get each event once. One that
    `needs_alertmanager` is skipped where that is not installed.
    """

    name: str
    title: str
    inject: Callable[[AnyDeployment], Awaitable[None]]
    may_repeat: bool = True
    needs_alertmanager: bool = False


async def kill_healthprobe(deployment: Deployment) -> None:
    async with deployment.changing_engines():
        for _ in range(deployment.form.strokes):
            for _ in range(2):
                await deployment.wait_at_most(deployment.form.life)
                deployment.program.kill()
                deployment.injected += 1
            await deployment.settles()


async def kill_postgres(deployment: PostgresDeployment) -> None:
    async with deployment.changing_engines():
        for _ in range(deployment.form.strokes):
            await deployment.wait_at_most(deployment.form.rest)
            deployment.postgres.kill()
            deployment.injected += 1
            await deployment.wait_at_most(deployment.chance.choice((0.0, deployment.form.life)))
            await finish(deployment.postgres.start)
            await deployment.settles()


async def kill_redis(deployment: PostgresDeployment) -> None:
    async with deployment.changing_engines():
        for _ in range(deployment.form.strokes):
            await deployment.wait_at_most(deployment.form.rest)
            deployment.redis.kill()
            deployment.injected += 1
            await deployment.wait_at_most(deployment.chance.choice((0.0, deployment.form.life)))
            await finish(deployment.redis.start)
            await deployment.settles()


async def redis_away(deployment: PostgresDeployment) -> None:
    async with deployment.changing_engines():
        deployment.redis.kill()
        deployment.injected += 1
        await deployment.wait_for_log_to_grow(deployment.form.transitions, at_least=deployment.form.away)
        await finish(deployment.redis.start)
        await deployment.settles(at_most=SOON)


async def webhook_away(deployment: PostgresDeployment) -> None:
    """Down in three ways: it refuses connections, it answers 503, it accepts requests and never answers."""
    third = deployment.form.transitions // 3
    at_work = deployment.web.script
    async with deployment.changing_engines():
        await deployment.web.go_away()
        deployment.injected += 1
        await deployment.wait_for_log_to_grow(third)
        deployment.web.script = Answer(503)
        deployment.injected += 1
        await deployment.web.come_back()
        await deployment.wait_for_log_to_grow(third)
        deployment.web.script = silent
        deployment.injected += 1
        await deployment.wait_for_log_to_grow(third)
        await deployment.web.go_away()
        deployment.web.script = at_work
        await deployment.web.come_back()
        await deployment.settles()


async def postgres_away_as_all_fail(deployment: PostgresDeployment) -> None:
    for _ in range(max(deployment.form.strokes // 4, 1)):
        deployment.postgres.kill()
        deployment.injected += 1
        await deployment.engines.all_fail()
        await asyncio.sleep(deployment.form.away)
        await finish(deployment.postgres.start)
        await deployment.settles()
        await deployment.alerts_settle()
        await deployment.engines.all_recover()
        await deployment.settles()


async def pause_healthprobe(deployment: Deployment) -> None:
    async with deployment.changing_engines():
        for _ in range(deployment.form.strokes):
            await deployment.wait_at_most(deployment.form.rest)
            deployment.program.pause()
            deployment.injected += 1
            await asyncio.sleep(3 * deployment.form.interval)
            deployment.program.resume()
            await deployment.settles()


async def step_the_clock(deployment: PostgresDeployment) -> None:
    async with deployment.stepped_clock() as step, deployment.changing_engines():
        for offset in (HOUR, -HOUR):
            step(offset)
            deployment.injected += 1
            await deployment.wait_for_log_to_grow(deployment.form.transitions // 6)
            await deployment.settles()


async def cut_postgres(deployment: ProxiedDeployment) -> None:
    await _cut(deployment, deployment.to_postgres, most_answered=2000)


async def cut_redis(deployment: ProxiedDeployment) -> None:
    await _cut(deployment, deployment.to_redis, most_answered=20)


async def _cut(deployment: ProxiedDeployment, line: Line, most_answered: int) -> None:
    """Cuts connections after a random number of bytes: in turn of an answer, so that a statement is done and its
    acknowledgement lost, and of a request, so that the server gets half a statement.
    """

    async def comes_back() -> bool:
        return line.answers.connections > before

    async with deployment.changing_engines():
        await deployment.wait_for_log_to_grow(1)  # the state of all games has been read: from now on only writes fail
        for _ in range(deployment.form.strokes):
            for number in range(CUTS):
                await deployment.wait_at_most(deployment.form.rest)
                deployment.injected += 1
                before = line.answers.connections
                if number % 2 == 0:
                    line.answers.cut_after(deployment.chance.randint(0, most_answered))
                else:
                    line.sent.after(deployment.chance.randint(0, MOST_SENT))
                await until(comes_back, "healthprobe connects again", within=deployment.form.patience)
            await deployment.settles()


async def fill_the_disk(deployment: SqliteDeployment) -> None:
    async with deployment.changing_engines():
        for _ in range(max(deployment.form.strokes // 3, 1)):
            deployment.injected += 1
            async with deployment.disk.full():
                await deployment.program.logs("publish health event", within=deployment.form.patience)
                await deployment.wait_at_most(deployment.form.rest)
            await deployment.settles()


async def lock_the_log(deployment: SqliteDeployment) -> None:
    async with deployment.changing_engines():
        await deployment.wait_for_log_to_grow(1)
        deployment.injected += 1
        async with deployment.locked():
            await asyncio.sleep(LOCKED)
        await deployment.settles()


async def alter_a_row(deployment: SqlDeployment) -> None:
    """Alters the events of one game, before they are delivered and before the program reads the state of all games."""

    async def altered() -> bool:
        return await deployment.log.alter()

    async with deployment.changing_engines():
        for _ in range(max(deployment.form.strokes // 3, 1)):
            await deployment.web.go_away()
            deployment.engines.altered_becomes(503)
            await until(altered, "the log has an event to alter", within=deployment.form.patience)
            deployment.program.kill()
            deployment.injected += 1
            await deployment.wait_for_log_to_grow(deployment.form.transitions // 3)
            await deployment.web.come_back()
            await deployment.settles()
            deployment.engines.altered_becomes(OK)
            await deployment.wait_for_log_to_grow(1)


async def read_only_redis(deployment: PostgresDeployment) -> None:
    async with deployment.changing_engines():
        deployment.injected += 1
        async with deployment.read_only_redis():
            await deployment.wait_for_log_to_grow(deployment.form.transitions // 3, at_least=deployment.form.away)
        await deployment.settles(at_most=SOON)


async def read_only_postgres(deployment: PostgresDeployment) -> None:
    async with deployment.changing_engines():
        await deployment.wait_for_log_to_grow(1)
        deployment.injected += 1
        async with deployment.read_only_log():
            await deployment.program.logs("publish health event", within=deployment.form.patience)
            await asyncio.sleep(deployment.form.away)
        await deployment.settles(at_most=SOON)


async def kill_alertmanager(deployment: Deployment) -> None:
    """Alertmanager keeps alerts in memory only: it comes back with nothing."""
    receiver = deployment.alertmanager
    for _ in range(max(deployment.form.strokes // 3, 1)):
        async with deployment.changing_engines():
            await deployment.wait_at_most(deployment.form.rest)
            receiver.server.kill()
            deployment.injected += 1
            try:
                await deployment.wait_for_log_to_grow(deployment.form.transitions // 6)
            finally:
                await finish(receiver.server.start)
        await deployment.alerts_settle()


async def pause_alertmanager(deployment: Deployment) -> None:
    """While it hangs, all others must be told of everything."""
    receiver = deployment.alertmanager
    for _ in range(max(deployment.form.strokes // 3, 1)):
        receiver.server.pause()
        deployment.injected += 1
        try:
            async with deployment.changing_engines():
                growth = deployment.form.transitions // 6
                await deployment.wait_for_log_to_grow(growth, at_least=deployment.form.away)
            await deployment.alerts_settle(without=receiver)
        finally:
            receiver.server.resume()
        await deployment.alerts_settle()


async def pagerduty_away(deployment: Deployment) -> None:
    """Away in four ways: it answers 429, it answers 503, it accepts requests and never answers, it refuses."""
    assert deployment.alerted is not None
    receiver = deployment.alerted.pagerduty
    too_many = Answer(429, headers={"Retry-After": "1"})
    for _ in range(max(deployment.form.strokes // 3, 1)):
        for script in (too_many, Answer(503), silent, None):
            receiver.service.script = script
            if script is None:
                await receiver.service.server.go_away()
            deployment.injected += 1
            try:
                async with deployment.changing_engines():
                    await deployment.wait_for_log_to_grow(deployment.form.transitions // 6)
                await deployment.alerts_settle(without=receiver)
            finally:
                receiver.service.script = None
                if script is None:
                    await receiver.service.server.come_back()
            await deployment.alerts_settle()


ON_POSTGRES: tuple[Fault[PostgresDeployment], ...] = (
    Fault("kill-healthprobe", "kill -9 of healthprobe at random moments", kill_healthprobe),
    Fault("kill-postgres", "kill -9 of PostgreSQL", kill_postgres),
    Fault("kill-redis", "kill -9 of Redis", kill_redis),
    Fault("redis-away", "Redis down", redis_away),
    Fault("webhook-away", "webhook down: refusing, 503, silent", webhook_away),
    Fault("mass-failure", "PostgreSQL down while all engines fail at once", postgres_away_as_all_fail),
    Fault("pause", "SIGSTOP of healthprobe for three intervals", pause_healthprobe),
    Fault("clock", "wall clock stepped by an hour each way", step_the_clock),
    Fault("read-only-redis", "Redis a replica for a while: READONLY", read_only_redis, may_repeat=False),
    Fault("read-only-postgres", "PostgreSQL read-only for a while", read_only_postgres, may_repeat=False),
    Fault("altered-row", "events of one game altered by plain SQL, and a restart", alter_a_row),
    Fault(
        "kill-alertmanager",
        "kill -9 of Alertmanager: back with nothing",
        kill_alertmanager,
        may_repeat=False,
        needs_alertmanager=True,
    ),
    Fault(
        "pause-alertmanager", "SIGSTOP of Alertmanager", pause_alertmanager, may_repeat=False, needs_alertmanager=True
    ),
    Fault("pagerduty-away", "PagerDuty away: 429, 503, silent, refusing", pagerduty_away, may_repeat=False),
)
THROUGH_PROXIES: tuple[Fault[ProxiedDeployment], ...] = (
    Fault("cut-postgres", "connections to PostgreSQL cut in mid-append", cut_postgres),
    Fault("cut-redis", "connections to Redis cut, acknowledgements lost", cut_redis),
)
ON_SQLITE: tuple[Fault[SqliteDeployment], ...] = (
    Fault("kill-on-sqlite", "kill -9 of healthprobe, log in SQLite", kill_healthprobe),
    Fault("full-disk", "disk full under SQLite", fill_the_disk),
    Fault("locked-log", f"SQLite locked by another program for {LOCKED:g} s", lock_the_log, may_repeat=False),
    Fault("altered-row-on-sqlite", "the same, log in SQLite", alter_a_row),
)

NAMES = [
    *(fault.name for fault in ON_POSTGRES),
    *(fault.name for fault in THROUGH_PROXIES),
    *(fault.name for fault in ON_SQLITE),
]
"""The values of `--only`."""
