"""URLs: opens the adapter that the scheme of a URL names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

import structlog

from healthprobe.app import plugins
from healthprobe.app.url_names import NOTIFY, notification_name, publisher_name, scheme_of, shown
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import (
    Alerter,
    ConfigurationError,
    HealthEventLog,
    HealthEventPublisher,
    HealthprobeError,
    RuntimeRecordStore,
    Telemetry,
)

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from healthprobe.adapters.http import HttpHeartbeat
    from healthprobe.adapters.nats import JetStreamLeases, JetStreamRecords
    from healthprobe.adapters.nats.connection import JetStream
    from healthprobe.adapters.sql import SqlDatabase, SqlRecords


@contextmanager
def extra(name: str, needed_by: str) -> Iterator[None]:
    """Turns the import error of a library that is not installed into one that names the extra with it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("healthprobe"):
            raise
        raise ConfigurationError(
            f"{needed_by} needs {error.name}, which is not installed: pip install 'healthprobe[{name}]'"
        ) from error


class SkippedRecords:
    """Counts the records that a listing skips, and logs it when the first reason changes, not at every tick."""

    def __init__(self, telemetry: Telemetry | None, logger: FilteringBoundLogger) -> None:
        self._telemetry = telemetry
        self._logger = logger
        self._logged = ""

    def report(self, count: int, first_reason: str) -> None:
        """Records that the last listing skipped `count` records, the first of them for `first_reason`."""
        if self._telemetry is not None:
            self._telemetry.record_skipped_records(count)
        if first_reason == self._logged:
            return
        self._logged = first_reason
        if count:
            self._logger.warning("records skipped", count=count, err=first_reason)
        else:
            self._logger.info("no record is skipped any more")


Opened = TypeVar("Opened")

Maker = Callable[["Adapters", str], Awaitable[Opened]]


async def _sql_records(adapters: Adapters, url: str) -> SqlRecords:
    from healthprobe.adapters.sql import SqlRecords

    return SqlRecords(await adapters.database(url), adapters.skipped.report)


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
    store = await JetStreamRecords.open(stream, adapters.skipped.report, create=not adapters.existing)
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

    return StdoutPublisher(render=adapters.event_format)


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


async def _alertmanagers(adapters: Adapters, url: str) -> Mapping[str, Alerter]:
    with extra("http", f"--alert {scheme_of(url)}:"):
        from healthprobe.adapters.alertmanager import AlertmanagerAlerter
    alerters = AlertmanagerAlerter.of_each_host(url, page=adapters.page, logger=adapters.logger)
    for alerter in alerters.values():
        adapters.close_later(alerter.aclose)
    return alerters


async def _pagerduty(adapters: Adapters, url: str) -> Mapping[str, Alerter]:
    with extra("http", f"--alert {scheme_of(url)}:"):
        from healthprobe.adapters.pagerduty import PagerDutyAlerter
    alerter = PagerDutyAlerter.of_url(url, page=adapters.page, logger=adapters.logger)
    adapters.close_later(alerter.aclose)
    return {alerter.name: alerter}


_SYNONYMS = ("postgres", "postgresql+psycopg")
DATABASES = ("sqlite", "postgresql", *_SYNONYMS)
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
    **dict.fromkeys(("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"), _redis_publisher),
    **dict.fromkeys(("http", "https"), _webhook_publisher),
}
ALERTERS: Mapping[str, Maker[Mapping[str, Alerter]]] = {
    **dict.fromkeys(("alertmanager+http", "alertmanager+https"), _alertmanagers),
    **dict.fromkeys(("pagerduty", "pagerduty+http"), _pagerduty),
}
"""Each makes alerters by name: one for each receiver that is to be tried again by itself."""


def _path_of(url: str) -> str:
    scheme, _, path = url.partition(":")
    if not path:
        raise ConfigurationError(f"{url} names no file; write {scheme}:PATH")
    return path


EventFormat = Callable[[HealthEvent], str]
"""Returns the text of an event."""


class EditableRecords(Protocol):
    """A store of runtime records that commands edit. Every method raises StoreError."""

    async def list_all(self) -> list[RuntimeRecord]:
        """Returns every record, whatever its status, by game id."""
        ...

    async def put(self, records: Sequence[RuntimeRecord]) -> None:
        """Adds records, or replaces those of the same games. Of two records of one game the later counts."""
        ...

    async def remove(self, game_ids: Iterable[str]) -> int:
        """Removes the records of games and returns how many there were."""
        ...

    async def silence(self, game_ids: Iterable[str], until: datetime | None, why: str = "") -> set[str]:
        """Silences games until a time, or with None ends their silence. Returns the games that the store has."""
        ...


class Adapters:
    """Opens the adapters that URLs name, and closes them at the end. Opens each database and each cluster once.

    With `existing` a store or log that does not exist yet is refused, for commands that only read. `event_format` is
    that of the publisher stdout:, None is JSON. `page` is the URL of the page, to which alerts link. Every method
    raises ConfigurationError for a URL that cannot be used, and another HealthprobeError for a server that is away.
    """

    def __init__(
        self,
        *,
        existing: bool = False,
        logger: FilteringBoundLogger | None = None,
        telemetry: Telemetry | None = None,
        event_format: EventFormat | None = None,
        webhook_secret: str | None = None,
        page: str | None = None,
    ) -> None:
        self.event_format = event_format
        self.page = page
        self.webhook_secret = webhook_secret
        self.logger: FilteringBoundLogger = logger or structlog.get_logger()
        self.skipped = SkippedRecords(telemetry, self.logger)
        self.existing = existing
        self._stack = AsyncExitStack()
        self._databases: dict[str, SqlDatabase] = {}
        self._clusters: dict[tuple[object, ...], JetStream] = {}

    async def records(self, url: str, query: str | None = None) -> RuntimeRecordStore:
        """Returns the store at a URL, or the result of a query of a database as a store."""
        if query is not None:
            return await self._queried(url, query)
        return await self._open(RECORDS, plugins.RECORDS, "--records", url)

    async def log(self, url: str) -> HealthEventLog:
        return await self._open(LOGS, plugins.LOGS, "--log", url)

    async def cluster(
        self, url: str, lease: float, games: Callable[[], int], rule: str
    ) -> tuple[HealthEventLog, JetStreamLeases]:
        """Returns the log of the cluster at a URL, and leases of `lease` seconds.

        Other instances see the number of `games` and the `rule` of this one.
        """
        with extra("nats", "--cluster"):
            from healthprobe.adapters.nats import JetStreamLeases, JetStreamLog
        stream = await self.jetstream(url)
        log = await JetStreamLog.open(stream, by_claims=True)
        leases = await JetStreamLeases.open(stream, log, lease=lease, games=games, rule=rule, logger=self.logger)
        self.close_later(leases.aclose)
        return log, leases

    async def publisher(self, url: str) -> HealthEventPublisher:
        return await self._open(PUBLISHERS, plugins.PUBLISHERS, "--publish", url)

    def heartbeat(self, url: str) -> HttpHeartbeat:
        """Returns heartbeats for the service at a URL."""
        with extra("http", "--heartbeat"):
            from healthprobe.adapters.http import HttpHeartbeat
        if scheme_of(url) not in {"http", "https"}:
            raise ConfigurationError("--heartbeat names no service: write a URL such as https://hc-ping.com/UUID")
        try:
            heartbeat = HttpHeartbeat.of_url(url)
        except ConfigurationError as error:
            raise ConfigurationError(f"--heartbeat: {error}") from error
        self.close_later(heartbeat.aclose)
        return heartbeat

    async def alerters(self, url: str) -> Mapping[str, Alerter]:
        """Returns the alerters at a URL by their names, which are shown and hold no secret.

        `notify+` before a URL of apprise makes it one for messages to people.
        """
        if url.startswith(NOTIFY):
            return await self.notifiers(url.removeprefix(NOTIFY))
        scheme, colon, _ = url.partition(":")
        if colon and scheme in ALERTERS:
            return await ALERTERS[scheme](self, url)
        if colon and (opener := plugins.opener(plugins.ALERTERS, scheme)) is not None:
            alerter: Alerter = await self._stack.enter_async_context(plugins.opened(opener, url))
            return {publisher_name(url): alerter}
        raise ConfigurationError(_unknown("--alert", url, [*ALERTERS, *plugins.installed(plugins.ALERTERS)]))

    async def notifiers(self, url: str) -> Mapping[str, Alerter]:
        """Returns an alerter for each target of a URL of apprise, by name, or one where they cannot be separated."""
        with extra("notify", "--notify"):
            from healthprobe.adapters.notify import NotifyAlerter
        return {notification_name(url, target): each for target, each in NotifyAlerter.of_each_target(url).items()}

    async def editable_records(self, url: str) -> EditableRecords:
        if scheme_of(url) == "file":
            raise ConfigurationError(f"--records {shown(url)} is edited in the file itself; commands edit sqlite:PATH")
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
        """Returns a connection to the NATS cluster of a URL, with the bucket or prefix that the URL names."""
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
                raise HealthprobeError(
                    f"{address.name}: {error}; check that its servers run and can be reached"
                ) from error
            self.close_later(self._clusters[identity].aclose)
        return self._clusters[identity].at(address)

    def close_later(self, close: Callable[[], Awaitable[None]]) -> None:
        """Calls `close` at the end."""
        self._stack.push_async_callback(close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _queried(self, url: str, query: str) -> RuntimeRecordStore:
        from healthprobe.adapters.sql import SqlQuery

        if scheme_of(url) not in DATABASES:
            raise ConfigurationError(
                f"--records-query needs a database, and --records {shown(url)} is none; {_use(DATABASES)}"
            )
        store = await SqlQuery.open(url, query, self.skipped.report)
        self.close_later(store.aclose)
        return store

    async def _open(self, table: Mapping[str, Maker[Opened]], group: str, option: str, url: str) -> Opened:
        scheme, colon, _ = url.partition(":")
        if colon and scheme in table:
            return await table[scheme](self, url)
        if colon and (opener := plugins.opener(group, scheme)) is not None:
            opened: Opened = await self._stack.enter_async_context(plugins.opened(opener, url))
            return opened
        raise ConfigurationError(_unknown(option, url, [*table, *plugins.installed(group)]))


def _unknown(option: str, url: str, known: Iterable[str]) -> str:
    """Returns the message for an unknown scheme. It omits the rest of the URL, which may hold a secret."""
    name = f"{option} {scheme_of(url)}:…" if ":" in url else f"{option} {url}"
    hint = "; URLs of apprise are for --notify" if option == "--publish" and "://" in url else ""
    return f"{name}: not a known URL; {_use(known)}{hint}"


def _use(schemes: Iterable[str]) -> str:
    return "use " + " or ".join(f"{each}:" for each in dict.fromkeys(schemes) if each not in _SYNONYMS)


@asynccontextmanager
async def log_at(url: str) -> AsyncIterator[HealthEventLog]:
    """Opens the log at a URL, which must exist, for a command."""
    async with Adapters(existing=True) as adapters:
        yield await adapters.log(url)
