"""The composition root: which adapter a URL names, and the parts of a run put together. Nobody else makes adapters.

A new adapter is one line in a table here. Adapters are imported when a URL asks for them, so that nobody waits for, or
has to install, what they do not use.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from healthprobe.domain.endpoint import masked
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.schedule import AutoLanes
from healthprobe.ports import ConfigurationError, HealthEventLog, HealthEventPublisher, RuntimeRecordStore, Telemetry
from healthprobe.surfaces.settings import Settings

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from healthprobe.adapters.sql import SqlDatabase, SqlRecords
    from healthprobe.worker.relay import Relay
    from healthprobe.worker.worker import Worker

EventLine = Callable[[HealthEvent], str]
Part = TypeVar("Part")

PLANNED = frozenset({"postgresql", "redis", "nats", "http", "https"})
"""Schemes that later versions have, so that whoever tries one is not told that it is misspelled."""


class Adapters:
    """The adapters that URLs name: each database opened once, whoever names it, and all closed by `aclose`.

    `existing` refuses databases that are not there yet, for commands that only read. Every method raises
    ConfigurationError where a URL names nothing that can be used.
    """

    def __init__(self, *, existing: bool = False) -> None:
        self._existing = existing
        self._stack = AsyncExitStack()
        self._databases: dict[Path, SqlDatabase] = {}

    async def records(self, url: str) -> RuntimeRecordStore:
        return await _chosen(RECORDS, "--records", url)(self, url)

    async def log(self, url: str) -> HealthEventLog:
        return await _chosen(LOGS, "--log", url)(self, url)

    def publisher(self, url: str, line: EventLine | None) -> HealthEventPublisher:
        return _chosen(PUBLISHERS, "--publish", url)(line)

    async def embedded_records(self, url: str) -> SqlRecords:
        """The store that can be edited."""
        if url.partition(":")[0] == "file":
            raise ConfigurationError(f"--records {url} is edited in the file itself; sqlite:PATH is edited here")
        return await _chosen({"sqlite": _sql_records}, "--records", url)(self, url)

    async def database(self, url: str) -> SqlDatabase:
        from healthprobe.adapters.sql import SqlDatabase

        path = _file_of(url)
        if path not in self._databases:
            database = await SqlDatabase.open(url, create=not self._existing)
            self._stack.push_async_callback(database.aclose)
            self._databases[path] = database
        return self._databases[path]

    async def aclose(self) -> None:
        await self._stack.aclose()


async def _sql_records(adapters: Adapters, url: str) -> SqlRecords:
    from healthprobe.adapters.sql import SqlRecords

    return SqlRecords(await adapters.database(url))


async def _file_records(_: Adapters, url: str) -> RuntimeRecordStore:
    from healthprobe.adapters.file import FileRecords

    return await FileRecords.open(_path_of(url))


async def _sql_log(adapters: Adapters, url: str) -> HealthEventLog:
    from healthprobe.adapters.sql import SqlLog

    return SqlLog(await adapters.database(url))


def _stdout_publisher(line: EventLine | None) -> HealthEventPublisher:
    from healthprobe.adapters.stdout import StdoutPublisher

    return StdoutPublisher(render=line)


RECORDS: Mapping[str, Callable[[Adapters, str], Awaitable[RuntimeRecordStore]]] = {
    "sqlite": _sql_records,
    "file": _file_records,
}
LOGS: Mapping[str, Callable[[Adapters, str], Awaitable[HealthEventLog]]] = {
    "sqlite": _sql_log,
}
PUBLISHERS: Mapping[str, Callable[[EventLine | None], HealthEventPublisher]] = {
    "stdout": _stdout_publisher,
}


@dataclass(frozen=True, slots=True)
class Parts:
    """A run, put together and not started."""

    records: RuntimeRecordStore
    log: HealthEventLog
    worker: Worker
    relays: tuple[Relay, ...]


@asynccontextmanager
async def composed(
    settings: Settings, *, telemetry: Telemetry, logger: FilteringBoundLogger, line: EventLine | None = None
) -> AsyncIterator[Parts]:
    """Open what `settings` name, in a running loop, and close it in the end. `line` is how stdout: writes an event.

    Raises ConfigurationError before anything is probed.
    """
    from healthprobe.probing.http import HttpProber
    from healthprobe.worker.relay import Relay
    from healthprobe.worker.worker import Worker

    async with AsyncExitStack() as stack:
        adapters = Adapters()
        stack.push_async_callback(adapters.aclose)
        records = await adapters.records(settings.records)
        log = await adapters.log(settings.log)
        prober = HttpProber(keep_connections=settings.keep_connections)
        stack.push_async_callback(prober.aclose)
        relays = tuple(
            Relay(log=log, publisher=adapters.publisher(url, line), name=shown(url), logger=logger)
            for url in dict.fromkeys(settings.publish)
        )

        def wake_relays() -> None:
            for relay in relays:
                relay.wake()

        worker = Worker(
            records=records,
            log=log,
            prober=prober,
            telemetry=telemetry,
            interval=float(settings.interval),
            probe_timeout=float(settings.timeout),
            failures_threshold=settings.failures,
            max_concurrency=_lanes(settings.max_concurrency, prober.capacity, logger),
            logger=logger,
            on_commit=wake_relays,
        )
        yield Parts(records, log, worker, relays)


def _lanes(wanted: int | None, capacity: int, logger: FilteringBoundLogger) -> int | AutoLanes:
    if wanted is None:
        return AutoLanes(ceiling=capacity)
    if wanted > capacity:
        logger.warning("fewer probes in flight than asked for: the limit of open files", wanted=wanted, used=capacity)
    return min(wanted, capacity)


def shown(url: str) -> str:
    """`url` as messages, logs and cursors call it: without credentials."""
    return masked(url) if "://" in url else url


def _chosen(table: Mapping[str, Part], option: str, url: str) -> Part:
    scheme, colon, _ = url.partition(":")
    if colon and scheme in table:
        return table[scheme]
    known = " or ".join(f"{each}:" for each in table)
    if colon and scheme in PLANNED:
        raise ConfigurationError(f"{option} {shown(url)}: {scheme} is not supported by this version; use {known}")
    raise ConfigurationError(f"{option} {shown(url)}: not a URL that is known here; use {known}")


def _file_of(url: str) -> Path:
    """One file, however it is spelled: records and log in the same file share its database."""
    return Path(_path_of(url)).expanduser().resolve()


def _path_of(url: str) -> str:
    scheme, _, path = url.partition(":")
    if not path:
        raise ConfigurationError(f"{url} names no file; write {scheme}:PATH")
    return path
