"""A round: one value in one row of our tables is altered by plain SQL, and all other games must go on as ever.

A whole worker and two relays run over a real database, in virtual time. The game `altered` has the row; what becomes of
it is not judged. Every other game must be listed and probed, its transitions must enter the log, stand there with all
its earlier ones, and be delivered, once and in order; so must its dead letters. Its document must be read, and the log
must say whether it is down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple

import msgspec

from healthprobe.adapters.sql import SqlDatabase, SqlLog, SqlQuery, SqlRecords
from healthprobe.domain.document import read_documents
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.ports import DeadLetter
from healthprobe.testing.clock import FIRST_INSTANT, VirtualTimeLoop
from healthprobe.testing.memory import InMemoryPublisher
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import Stage, game, run_for
from healthprobe.worker.relay import Relay
from healthprobe.worker.worker import Worker

ALTERED = "altered"
"""The game whose row is altered."""

OTHERS = {"game-1": "f", "game-2": "fr", "game-4": "f", "game-5": "", "zealous": "frfr"}
"""The other games, each with the types of its earlier events: failed, recovered. They stand on both sides of it."""

_HISTORY = (
    ("game-1", "f"),
    (ALTERED, "f"),
    ("game-2", "f"),
    (ALTERED, "r"),
    ("game-4", "f"),
    ("zealous", "frf"),
    (ALTERED, "f"),
    ("game-2", "r"),
    ("zealous", "r"),
)
"""The log before the run, in its order."""

BUS, PAGER = "bus", "pager"
"""The relays. The pager's cursor is the one that is altered."""

_BUS_CURSOR = 6
_LETTERS = ("game-2", ALTERED, "zealous")
"""Games of which the bus refused the first event."""

KIND = "alert"
"""The kind of the documents in the log, one a game."""

QUERY = (
    "SELECT game_id, current_container_id, engine_endpoint, status, probe, silenced_until, silenced_why FROM {table}"
)

_INTERVAL = 5.0
_BEFORE, _AFTER = _INTERVAL + 1.0, 3 * _INTERVAL + 1.0
"""How long a run lasts before a row is altered in the middle of it, and after."""

_THRESHOLD = 2
_LIMIT = 1_000

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class InlineLoop(VirtualTimeLoop):
    """A loop with virtual time that runs the work of threads at once, which it cannot wait for."""

    def run_in_executor(
        self, _executor: Executor | None, func: Callable[[*Arguments], Result], *args: *Arguments
    ) -> asyncio.Future[Result]:
        future: asyncio.Future[Result] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  it is the caller's, as a thread's would be
            future.set_exception(error)
        return future


class Harmed(AssertionError):
    """Another game than the altered one was affected."""


@dataclass(frozen=True, slots=True)
class Place:
    """The database of a round. `alter` changes the value; `table` is the one that is read by a query, if any is."""

    url: str
    alter: Callable[[], None]
    while_running: bool
    table: str | None = None


async def fill(url: str) -> None:
    """Writes what stands in the database before each round, with our own program."""
    database = await SqlDatabase.open(url)
    try:
        await SqlRecords(database).put([game(game_id) for game_id in (*OTHERS, ALTERED)])
        log = SqlLog(database)
        history = _history()
        await log.append(history)
        await log.save_cursor(BUS, _BUS_CURSOR)
        await log.save_cursor(PAGER, 0)
        await log.put_documents(KIND, {game_id: _document(game_id) for game_id in (*OTHERS, ALTERED)})
        for event in history[:_BUS_CURSOR]:
            if event.sequence == 1 and event.game_id in _LETTERS:
                await log.park(DeadLetter(BUS, event, "too large", FIRST_INSTANT))
    finally:
        await database.aclose()


def play(place: Place) -> None:
    """Plays one round. Raises Harmed, or what the program lets through."""
    with asyncio.Runner(loop_factory=InlineLoop) as runner:
        runner.run(_play(place))


async def _play(place: Place) -> None:
    await _Round(place).play()


def _history() -> list[HealthEvent]:
    events: list[HealthEvent] = []
    counts: dict[str, int] = {}
    for game_id, kinds in _HISTORY:
        for kind in kinds:
            counts[game_id] = counts.get(game_id, 0) + 1
            details = ProbeFailedDetails(2, 503, "unexpected status 503") if kind == "f" else ProbeRecoveredDetails(2)
            events.append(HealthEvent(counts[game_id], game_id, "c1", FIRST_INSTANT, details))
    return events


class _Round:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._stage = Stage()
        self._publishers = {BUS: InMemoryPublisher(), PAGER: InMemoryPublisher()}
        self._altered_at = 0.0

    async def play(self) -> None:
        place, stage = self._place, self._stage
        self._let_engines_be({game_id: history.endswith("f") for game_id, history in OTHERS.items()})
        if not place.while_running:
            place.alter()
        async with AsyncExitStack() as stack:
            database = await SqlDatabase.open(place.url)
            stack.push_async_callback(database.aclose)
            log, records = SqlLog(database), await self._records(database, stack)
            worker = Worker(
                **stage.arguments(records=records, log=log, interval=_INTERVAL, failures_threshold=_THRESHOLD)
            )
            relays = [
                Relay(
                    log=log,
                    publisher=publisher,
                    name=name,
                    poll_interval=_INTERVAL - 1.0,
                    logger=stage.logger,
                    clock=stage.clock.now,
                    monotonic=stage.clock.monotonic,
                )
                for name, publisher in self._publishers.items()
            ]
            running = [worker.run(), *(relay.run() for relay in relays), self._happen(log)]
            await run_for(_AFTER + (_BEFORE if place.while_running else 0.0), _together(running))
            await self._judge_listing(database)
            await self._judge_log(SqlLog(database))
        self._judge_probes()
        self._judge_deliveries()

    async def _records(self, database: SqlDatabase, stack: AsyncExitStack) -> SqlRecords | SqlQuery:
        if self._place.table is None:
            return SqlRecords(database)
        query = await SqlQuery.open(self._place.url, QUERY.format(table=self._place.table), lambda *_: None)
        stack.push_async_callback(query.aclose)
        return query

    async def _happen(self, log: SqlLog) -> None:
        """Alters the value if that is not done, and then lets every engine change."""
        if self._place.while_running:
            await asyncio.sleep(_BEFORE)
            self._place.alter()
        self._altered_at = asyncio.get_running_loop().time()
        self._let_engines_be({game_id: not history.endswith("f") for game_id, history in OTHERS.items()})
        await log.request_replay()

    def _let_engines_be(self, failing: dict[str, bool]) -> None:
        for game_id, fails in failing.items():
            self._stage.prober.script(game_id, UNAVAILABLE if fails else HEALTHY)

    async def _judge_listing(self, database: SqlDatabase) -> None:
        records = SqlRecords(database)
        for listed in (await records.list_by_status(RUNNING), await records.list_all()):
            _require_records(listed)

    def _judge_probes(self) -> None:
        for game_id in OTHERS:
            times = [at for at in self._stage.prober.began(game_id) if at >= self._altered_at]
            _require(len(times) >= _AFTER // _INTERVAL, f"{game_id} was probed {len(times)} times")

    async def _judge_log(self, log: SqlLog) -> None:
        read: list[HealthEvent] = []
        after = 0
        while entries := await log.read(after, 1):
            after = entries[-1].cursor
            read.append(entries[-1].event)
            _require(len(read) < _LIMIT, "reading the log never ends")
        last_events = await log.last_events([*OTHERS, ALTERED])
        for game_id, history in OTHERS.items():
            expected = _story(game_id, history + _next(history))
            _require(_told(read, game_id) == expected, f"the log has {_told(read, game_id)} of {game_id}")
            last = _told(last_events.values(), game_id)
            _require(last == expected[-1:], f"the log says that the last event of {game_id} is {last}")
        await log.prune(FIRST_INSTANT, after)  # nothing is older
        _require(BUS in await log.all_cursors(), "the cursor of the bus is not listed")
        await self._judge_documents(log)
        down = await log.open_incidents()
        for game_id, history in OTHERS.items():
            _require((game_id in down) == (_next(history) == "f"), f"the log says that {game_id} is down or not")
        letters = {letter.event.id for letter in await log.dead_letters(_LIMIT)}
        left = {f"{game_id}:1" for game_id in OTHERS} & letters
        _require(not left, f"the dead letters {left} were not sent again")

    async def _judge_documents(self, log: SqlLog) -> None:
        await log.put_documents(KIND, {"new": _document("new")})
        read, problems = read_documents(await log.documents(KIND), msgspec.json.decode, "alert")
        for game_id in (*OTHERS, "new"):
            _require(read.get(game_id) == {"game_id": game_id}, f"the document of {game_id} is {read.get(game_id)}")
        _require(len(problems) <= 1, f"several documents cannot be read: {problems}")

    def _judge_deliveries(self) -> None:
        replayed = {f"{game_id}:1" for game_id in _LETTERS if game_id in OTHERS}
        on_bus = self._publishers[BUS].delivered
        _require(replayed <= {event.id for event in on_bus}, "the dead letters did not arrive")
        before_cursor = {event.id for event in _history()[:_BUS_CURSOR]}
        for game_id, history in OTHERS.items():
            story = _story(game_id, history + _next(history))
            due = [each for each in story if each.split(" ")[0] not in before_cursor | replayed]
            arrived = [each for each in _told(on_bus, game_id) if each.split(" ")[0] not in replayed]
            _require(arrived == due, f"the bus got {arrived} of {game_id}, not {due}")
            paged = _told(self._publishers[PAGER].delivered, game_id)
            _require(paged[-1:] == story[-1:], f"the pager got {paged} of {game_id}")


def _document(game_id: str) -> str:
    return msgspec.json.encode({"game_id": game_id}).decode()


def _next(history: str) -> str:
    return "r" if history.endswith("f") else "f"


def _story(game_id: str, kinds: str) -> list[str]:
    return [f"{game_id}:{number} {kind}" for number, kind in enumerate(kinds, 1)]


def _told(events: Sequence[HealthEvent] | Any, game_id: str) -> list[str]:
    return [f"{each.id} {each.event_type.removeprefix('probe_')[0]}" for each in events if each.game_id == game_id]


def _require_records(records: Sequence[RuntimeRecord]) -> None:
    by_game = {record.game_id: record for record in records}
    for game_id in OTHERS:
        _require(by_game.get(game_id) == game(game_id), f"{game_id} is listed as {by_game.get(game_id)}")


async def _together(running: Sequence[Any]) -> None:
    await asyncio.gather(*running)


def _require(holds: object, fault: str) -> None:
    if not holds:
        raise Harmed(fault)
