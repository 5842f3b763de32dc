"""URLs: which adapter a scheme names, and how a URL is shown without its secrets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog
from structlog.typing import FilteringBoundLogger

from healthprobe.app import plugins
from healthprobe.app.url_names import scheme_of, shown
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import (
    ConfigurationError,
    HealthEventLog,
    HealthEventPublisher,
    HealthprobeError,
    RuntimeRecordStore,
    Telemetry,
)

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from healthprobe.adapters.nats import JetStreamLeases, JetStreamRecords
    from healthprobe.adapters.nats.connection import JetStream
    from healthprobe.adapters.sql import SqlDatabase, SqlRecords


@contextmanager
def extra(name: str, wanted: str) -> Iterator[None]:
    """Tell which extra brings the library that `wanted` needs, where it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("healthprobe"):
            raise
        raise ConfigurationError(
            f"{wanted} needs {error.name}, which is not installed: pip install 'healthprobe[{name}]'"
        ) from error


class SkippedRecords:
    """Counts the records that each listing leaves out, and says so when the first reason changes, not every tick."""

    def __init__(self, telemetry: Telemetry | None, logger: FilteringBoundLogger) -> None:
        self._telemetry = telemetry
        self._logger = logger
        self._told = ""

    def tell(self, count: int, first_reason: str) -> None:
        """The last listing left out `count` records, the first of them for `first_reason`."""
        if self._telemetry is not None:
            self._telemetry.record_skipped_records(count)
        if first_reason == self._told:
            return
        self._told = first_reason
        if count:
            self._logger.warning("records skipped", count=count, err=first_reason)
        else:
            self._logger.info("no record is skipped any more")


Made = TypeVar("Made")

Maker = Callable[["Adapters", str], Awaitable[Made]]


async def _sql_records(adapters: Adapters, url: str) -> SqlRecords:
    from healthprobe.adapters.sql import SqlRecords

    return SqlRecords(await adapters.database(url))


async def _file_records(_: Adapters, url: str) -> RuntimeRecordStore:
    from healthprobe.adapters.file import FileRecords

    return await FileRecords.open(_path_of(url))


async def _http_records(adapters: Adapters, url: str) -> RuntimeRecordStore:
    from healthprobe.adapters.file import parse_records

    with extra("http", f"--records {scheme_of(url)}:"):
        from healthprobe.adapters.http import HttpRecords
    store = await HttpRecords.open(url, parse_records)
    adapters.close_later(store.aclose)
    return store


async def _jetstream_records(adapters: Adapters, url: str) -> JetStreamRecords:
    with extra("nats", f"--records {scheme_of(url)}:"):
        from healthprobe.adapters.nats import JetStreamRecords
    stream = await adapters.jetstream(url)
    store = await JetStreamRecords.open(stream, adapters.skipped.tell, create=not adapters.existing)
    adapters.close_later(store.aclose)
    return store


async def _jetstream_log(adapters: Adapters, url: str) -> HealthEventLog:
    with extra("nats", f"--log {scheme_of(url)}:"):
        from healthprobe.adapters.nats import JetStreamLog
    return await JetStreamLog.open(await adapters.jetstream(url), create=not adapters.existing)


async def _sql_log(adapters: Adapters, url: str) -> HealthEventLog:
    from healthprobe.adapters.sql import SqlLog

    return SqlLog(await adapters.database(url))


async def _stdout_publisher(adapters: Adapters, _: str) -> HealthEventPublisher:
    from healthprobe.adapters.stdout import StdoutPublisher

    return StdoutPublisher(render=adapters.line)


async def _file_publisher(adapters: Adapters, url: str) -> HealthEventPublisher:
    from healthprobe.adapters.file import FilePublisher
    from healthprobe.adapters.stdout import line_of

    publisher = await FilePublisher.open(Path(_path_of(url)), line_of)
    adapters.close_later(publisher.aclose)
    return publisher


async def _redis_publisher(adapters: Adapters, url: str) -> HealthEventPublisher:
    with extra("redis", f"--publish {scheme_of(url)}:"):
        from healthprobe.adapters.redis import RedisPublisher
    publisher = RedisPublisher.of_url(url, logger=adapters.logger)
    adapters.close_later(publisher.aclose)
    return publisher


async def _webhook_publisher(adapters: Adapters, url: str) -> HealthEventPublisher:
    with extra("http", f"--publish {scheme_of(url)}:"):
        from healthprobe.adapters.http import WebhookPublisher
    location, _, _own_word = url.partition("#")
    publisher = WebhookPublisher.of_url(location, secret=adapters.webhook_secret)
    adapters.close_later(publisher.aclose)
    return publisher


DATABASES = ("sqlite", "postgresql", "postgres")
_JETSTREAMS = ("nats", "tls")

RECORDS: Mapping[str, Maker[RuntimeRecordStore]] = {
    **dict.fromkeys(DATABASES, _sql_records),
    "file": _file_records,
    **dict.fromkeys(("http", "https"), _http_records),
    **dict.fromkeys(_JETSTREAMS, _jetstream_records),
}
LOGS: Mapping[str, Maker[HealthEventLog]] = {
    **dict.fromkeys(DATABASES, _sql_log),
    **dict.fromkeys(_JETSTREAMS, _jetstream_log),
}
EDITABLE: Mapping[str, Maker[EditableRecords]] = {
    **dict.fromkeys(DATABASES, _sql_records),
    **dict.fromkeys(_JETSTREAMS, _jetstream_records),
}
PUBLISHERS: Mapping[str, Maker[HealthEventPublisher]] = {
    "stdout": _stdout_publisher,
    "file": _file_publisher,
    **dict.fromkeys(("redis", "rediss", "unix"), _redis_publisher),
    **dict.fromkeys(("http", "https"), _webhook_publisher),
}


def _path_of(url: str) -> str:
    scheme, _, path = url.partition(":")
    if not path:
        raise ConfigurationError(f"{url} names no file; write {scheme}:PATH")
    return path


EventLine = Callable[[HealthEvent], str]


class EditableRecords(Protocol):
    """A store of runtime records that is edited by hand. Every method raises StoreError."""

    async def list_all(self) -> list[RuntimeRecord]:
        """Every record, whatever its status, by game id."""
        ...

    async def put(self, records: Sequence[RuntimeRecord]) -> None:
        """Put these records in, or in the place of those of the same games; of two for one game the later one."""
        ...

    async def remove(self, game_ids: Iterable[str]) -> int:
        """Remove the records of these games; returns how many there were."""
        ...

    async def silence(self, game_ids: Iterable[str], until: datetime | None, why: str = "") -> set[str]:
        """Silence these games until then, or with None end their silence; returns those that are there."""
        ...


class Adapters:
    """The adapters that URLs name: each database and each cluster opened once, whoever names it, all closed in the end.

    `existing` refuses what is not there yet, for commands that only read. `line` is how stdout: writes an event,
    `webhook_secret` what webhooks are signed with. Every method raises ConfigurationError where a URL names nothing
    that can be used, and another HealthprobeError where it names what is away for now.
    """

    def __init__(
        self,
        *,
        existing: bool = False,
        logger: FilteringBoundLogger | None = None,
        telemetry: Telemetry | None = None,
        line: EventLine | None = None,
        webhook_secret: str | None = None,
    ) -> None:
        self.line = line
        self.webhook_secret = webhook_secret
        self.logger: FilteringBoundLogger = logger or structlog.get_logger()
        self.skipped = SkippedRecords(telemetry, self.logger)
        self.existing = existing
        self._stack = AsyncExitStack()
        self._databases: dict[str, SqlDatabase] = {}
        self._clusters: dict[tuple[object, ...], JetStream] = {}

    async def records(self, url: str, query: str | None = None) -> RuntimeRecordStore:
        """The store that `url` names, read by a `query` of the user's own where one is given."""
        if query is not None:
            return await self._queried(url, query)
        return await self._made(RECORDS, plugins.RECORDS, "--records", url)

    async def log(self, url: str) -> HealthEventLog:
        return await self._made(LOGS, plugins.LOGS, "--log", url)

    async def cluster(
        self, url: str, lease: float, games: Callable[[], int], rule: str
    ) -> tuple[HealthEventLog, JetStreamLeases]:
        """The log of the cluster at `url`, and the leases of `lease` seconds under which it is written.

        `games` tells the others how many games we watch, and `rule` by what we judge them and whom we tell.
        """
        with extra("nats", "--cluster"):
            from healthprobe.adapters.nats import JetStreamLeases, JetStreamLog
        stream = await self.jetstream(url)
        log = await JetStreamLog.open(stream, by_claims=True)
        leases = await JetStreamLeases.open(stream, log, lease=lease, games=games, rule=rule, logger=self.logger)
        self.close_later(leases.aclose)
        return log, leases

    async def publisher(self, url: str) -> HealthEventPublisher:
        return await self._made(PUBLISHERS, plugins.PUBLISHERS, "--publish", url)

    async def notifier(self, url: str) -> HealthEventPublisher:
        """What tells people of events, through the service that `url` names."""
        with extra("notify", "--notify"):
            from healthprobe.adapters.notify import NotifyPublisher
        return NotifyPublisher.of_url(url)

    async def editable_records(self, url: str) -> EditableRecords:
        """The store that can be edited."""
        if scheme_of(url) == "file":
            raise ConfigurationError(f"--records {shown(url)} is edited in the file itself; sqlite:PATH is edited here")
        if scheme_of(url) not in EDITABLE:
            raise ConfigurationError(_unknown("--records", url, EDITABLE))
        return await EDITABLE[scheme_of(url)](self, url)

    async def database(self, url: str) -> SqlDatabase:
        from healthprobe.adapters.sql import SqlDatabase, backend_of

        identity = backend_of(url).identity
        if identity not in self._databases:
            self._databases[identity] = await SqlDatabase.open(url, create=not self.existing)
            self.close_later(self._databases[identity].aclose)
        return self._databases[identity]

    async def jetstream(self, url: str) -> JetStream:
        """The connection to the NATS cluster that `url` names, for what else `url` names there."""
        with extra("nats", f"{scheme_of(url)}:"):
            from healthprobe.adapters.nats.address import NatsAddress
            from healthprobe.adapters.nats.connection import JetStream, Unanswered
        address = NatsAddress.of_url(url)
        identity = (frozenset(address.servers), address.creds, address.ca)
        if identity not in self._clusters:
            try:
                with extra("nats", "?creds=" if address.creds else "nats:"):  # nats-py looks for nkeys only now
                    self._clusters[identity] = await JetStream.open(address)
            except Unanswered as error:
                told = f"{address.name}: {error}; look whether its servers run and can be reached"
                raise HealthprobeError(told) from error
            self.close_later(self._clusters[identity].aclose)
        return self._clusters[identity].at(address)

    def close_later(self, close: Callable[[], Awaitable[None]]) -> None:
        """Call `close` as all this ends."""
        self._stack.push_async_callback(close)

    async def aclose(self) -> None:
        await self._stack.aclose()

    async def _queried(self, url: str, query: str) -> RuntimeRecordStore:
        from healthprobe.adapters.sql import SqlQuery

        if scheme_of(url) not in DATABASES:
            raise ConfigurationError(
                f"--records-query asks a database, and --records {shown(url)} is none; {_use(DATABASES)}"
            )
        store = await SqlQuery.open(url, query, self.skipped.tell)
        self.close_later(store.aclose)
        return store

    async def _made(self, table: Mapping[str, Maker[Made]], group: str, option: str, url: str) -> Made:
        scheme, colon, _ = url.partition(":")
        if colon and scheme in table:
            return await table[scheme](self, url)
        if colon and (opener := plugins.opener(group, scheme)) is not None:
            made: Made = await self._stack.enter_async_context(plugins.opened(opener, url))
            return made
        raise ConfigurationError(_unknown(option, url, [*table, *plugins.installed(group)]))


def _unknown(option: str, url: str, known: Iterable[str]) -> str:
    """What nobody knows may hold a secret anywhere: its scheme alone is told."""
    scheme = scheme_of(url)
    told = f"{option} {scheme}:…" if ":" in url else f"{option} {url}"
    hint = "; the services that apprise knows are for --notify" if option == "--publish" and "://" in url else ""
    return f"{told}: not a URL that is known here; {_use(known)}{hint}"


def _use(schemes: Iterable[str]) -> str:
    return "use " + " or ".join(f"{each}:" for each in dict.fromkeys(schemes) if each != "postgres")
