"""The makers: what each scheme of a URL is made by.

Adapters are imported when a URL asks for them, so that nobody waits for, or has to install, what they do not use.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from healthprobe.ports import ConfigurationError, HealthEventLog, HealthEventPublisher, RuntimeRecordStore
from healthprobe.surfaces.extras import extra
from healthprobe.surfaces.naming import scheme_of

if TYPE_CHECKING:
    from healthprobe.adapters.nats.records import JetStreamRecords
    from healthprobe.adapters.sql import SqlRecords
    from healthprobe.surfaces.adapters import Adapters
    from healthprobe.surfaces.editable import EditableRecords

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
        from healthprobe.adapters.nats.records import JetStreamRecords
    stream = await adapters.jetstream(url)
    store = await JetStreamRecords.open(stream, adapters.skipped.tell, create=not adapters.existing)
    adapters.close_later(store.aclose)
    return store


async def _jetstream_log(adapters: Adapters, url: str) -> HealthEventLog:
    with extra("nats", f"--log {scheme_of(url)}:"):
        from healthprobe.adapters.nats.log import JetStreamLog
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
