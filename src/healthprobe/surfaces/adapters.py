"""The adapters: which one a URL names. Nobody else makes them.

A new adapter is one line in a table of `makers`, or an entry point of another package (`plugins`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeVar

import structlog

from healthprobe.domain.event import HealthEvent
from healthprobe.ports import (
    ConfigurationError,
    HealthEventLog,
    HealthEventPublisher,
    HealthprobeError,
    RuntimeRecordStore,
    Telemetry,
)
from healthprobe.surfaces import makers, plugins
from healthprobe.surfaces.extras import extra
from healthprobe.surfaces.makers import Maker
from healthprobe.surfaces.naming import scheme_of, shown
from healthprobe.surfaces.skipping import SkippedRecords

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from healthprobe.adapters.nats import ShardLeases
    from healthprobe.adapters.nats.jetstream import JetStream
    from healthprobe.adapters.sql import SqlDatabase
    from healthprobe.surfaces.editable import EditableRecords

EventLine = Callable[[HealthEvent], str]
Made = TypeVar("Made")


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
        return await self._made(makers.RECORDS, plugins.RECORDS, "--records", url)

    async def log(self, url: str) -> HealthEventLog:
        return await self._made(makers.LOGS, plugins.LOGS, "--log", url)

    async def cluster(
        self, url: str, lease: float, games: Callable[[], int], rule: str
    ) -> tuple[HealthEventLog, ShardLeases]:
        """The log of the cluster at `url`, and the leases of `lease` seconds under which it is written.

        `games` tells the others how many games we watch, and `rule` by what we judge them and whom we tell.
        """
        with extra("nats", "--cluster"):
            from healthprobe.adapters.nats import JetStreamLog, ShardLeases
        stream = await self.jetstream(url)
        log = await JetStreamLog.open(stream, by_claims=True)
        leases = await ShardLeases.open(stream, log, lease=lease, games=games, rule=rule, logger=self.logger)
        self.close_later(leases.aclose)
        return log, leases

    async def publisher(self, url: str) -> HealthEventPublisher:
        return await self._made(makers.PUBLISHERS, plugins.PUBLISHERS, "--publish", url)

    async def notifier(self, url: str) -> HealthEventPublisher:
        """What tells people of events, through the service that `url` names."""
        with extra("notify", "--notify"):
            from healthprobe.adapters.notify import NotifyPublisher
        return NotifyPublisher.of_url(url)

    async def editable_records(self, url: str) -> EditableRecords:
        """The store that can be edited."""
        if scheme_of(url) == "file":
            raise ConfigurationError(f"--records {shown(url)} is edited in the file itself; sqlite:PATH is edited here")
        if scheme_of(url) not in makers.EDITABLE:
            raise ConfigurationError(_unknown("--records", url, makers.EDITABLE))
        return await makers.EDITABLE[scheme_of(url)](self, url)

    async def database(self, url: str) -> SqlDatabase:
        from healthprobe.adapters.sql import SqlDatabase, place_of

        identity = place_of(url).identity
        if identity not in self._databases:
            self._databases[identity] = await SqlDatabase.open(url, create=not self.existing)
            self.close_later(self._databases[identity].aclose)
        return self._databases[identity]

    async def jetstream(self, url: str) -> JetStream:
        """The connection to the NATS cluster that `url` names, for what else `url` names there."""
        with extra("nats", f"{scheme_of(url)}:"):
            from healthprobe.adapters.nats.address import NatsAddress
            from healthprobe.adapters.nats.jetstream import JetStream, Unanswered
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

        if scheme_of(url) not in makers.DATABASES:
            raise ConfigurationError(
                f"--records-query asks a database, and --records {shown(url)} is none; {_use(makers.DATABASES)}"
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
