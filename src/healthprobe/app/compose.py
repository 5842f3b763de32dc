"""Puts the parts of a run together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from healthprobe._util.aio import error_text
from healthprobe.app.settings import DEFAULT_LEASE, Settings
from healthprobe.app.startup import retry_until_available
from healthprobe.app.url_names import publisher_name
from healthprobe.app.urls import Adapters, EventFormat
from healthprobe.domain.endpoint import InvalidEndpoint, masked, parse_endpoint
from healthprobe.domain.event import DEFAULT_SOURCE, source_of
from healthprobe.domain.networks import InvalidNetwork, Network, Networks, parse_network
from healthprobe.domain.probe.probe_settings import ProbeSettings
from healthprobe.domain.schedule import AutoLanes
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import (
    ConfigurationError,
    ContentError,
    HealthEventLog,
    HealthEventPublisher,
    LogIdentity,
    RuntimeRecordStore,
    SourcedPublisher,
    Telemetry,
    WatchedRecords,
)
from healthprobe.status.counters import Counters

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from healthprobe.adapters.http import HttpHeartbeat
    from healthprobe.adapters.nats import JetStreamLeases
    from healthprobe.alarms.not_observed_notes import NotObservedNotes
    from healthprobe.alarms.silences import Silences
    from healthprobe.app.delivery import Delivery
    from healthprobe.app.gone_games import GoneGames
    from healthprobe.app.watched_time import WatchRecorder
    from healthprobe.probing.prober import ProberByKind
    from healthprobe.worker.static_shards import StaticShards
    from healthprobe.worker.worker import Worker


def canary_targets(urls: Sequence[str], timeout: float) -> tuple[ProbeTarget, ...]:
    """Returns targets that are probed at exactly these URLs. Raises ConfigurationError for an invalid one."""
    return tuple(_canary_target(url, timeout) for url in dict.fromkeys(urls))


def networks_of(settings: Settings) -> Networks:
    """Returns the networks that may be probed. Raises ConfigurationError for an invalid one."""
    found: dict[str, tuple[Network, ...]] = {}
    for option, texts in (("--allow-network", settings.allow_networks), ("--deny-network", settings.deny_networks)):
        try:
            found[option] = tuple(map(parse_network, texts))
        except InvalidNetwork as invalid:
            raise ConfigurationError(f"{option}: {invalid}") from invalid
    return Networks(found["--allow-network"], found["--deny-network"])


def _canary_target(url: str, timeout: float) -> ProbeTarget:
    try:
        endpoint = parse_endpoint(url)
    except InvalidEndpoint as invalid:
        raise ConfigurationError(
            f"--canary {masked(url)}: {invalid}; write a URL that always answers 200, such as https://gateway/status"
        ) from invalid
    settings = ProbeSettings(path=endpoint.prefix or "/")
    name = f"canary {endpoint.url}"
    return ProbeTarget(name, replace(endpoint, prefix=""), timeout, settings, is_game=False)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a run that is not started yet. `leases` is None outside a cluster."""

    records: RuntimeRecordStore
    log: HealthEventLog
    worker: Worker
    delivery: Delivery
    leases: JetStreamLeases | None
    prober: ProberByKind
    gone_games: GoneGames
    silences: Silences
    heartbeat: HttpHeartbeat | None
    watch: WatchRecorder
    notes: NotObservedNotes | None


@asynccontextmanager
async def composed(
    settings: Settings,
    *,
    counters: Counters,
    logger: FilteringBoundLogger,
    telemetry: Telemetry | None = None,
    event_format: EventFormat | None = None,
    traceparent: Callable[[str], bytes] | None = None,
) -> AsyncIterator[Parts]:
    """Opens what the settings name, and closes it at the end. Runs in an event loop.

    `telemetry` is what the worker reports to, `counters` by default. `event_format` is that of the publisher stdout:,
    None is JSON. `traceparent` returns the trace header of a game's next probe. Waits for a store or a log that is
    away. Raises ConfigurationError before anything is probed.
    """
    from healthprobe.alarms.not_observed_notes import NotObservedNotes
    from healthprobe.alarms.silences import Silences
    from healthprobe.app.alarm_stage import alarms_of, observer_of
    from healthprobe.app.delivery import Delivery
    from healthprobe.app.gone_games import GoneGames
    from healthprobe.app.retention import Retention
    from healthprobe.app.watched_time import WatchRecorder
    from healthprobe.probing.http import HTTPProber
    from healthprobe.probing.prober import ProberByKind
    from healthprobe.worker.relay import Relay
    from healthprobe.worker.worker import Worker

    telemetry = telemetry or counters
    async with Adapters(
        logger=logger,
        telemetry=telemetry,
        event_format=event_format,
        webhook_secret=settings.webhook_secret,
        page=settings.page,
    ) as adapters:
        heartbeat = None if settings.heartbeat is None else adapters.heartbeat(settings.heartbeat)
        publishers = await _publishers(settings, adapters)
        records = await retry_until_available(
            partial(adapters.records, settings.records, settings.records_query), logger
        )
        log, leases = await retry_until_available(partial(_log, settings, adapters, counters), logger)
        await _set_source(publishers.values(), settings, log, logger)
        shards = leases or _static_shards(settings)
        prober = ProberByKind(
            HTTPProber(
                keep_connections=settings.keep_connections,
                keep_alive_max_age=settings.keep_alive_max_age,
                networks=networks_of(settings),
                identity_header=settings.identity_header,
                traceparent=traceparent,
            )
        )
        adapters.close_later(prober.aclose)
        relays = tuple(
            Relay(log=log, publisher=publisher, name=name, telemetry=telemetry, logger=logger)
            for name, publisher in publishers.items()
        )
        retention = None if settings.retain is None else Retention(log, publishers.keys(), settings.retain, logger)
        silences = Silences(log, listing=lambda: worker.status.listing, logger=logger)
        await retry_until_available(silences.refresh, logger)  # before any alarm is raised
        observer = observer_of(log, lambda: worker.status, logger, has_others=shards is not None)
        alarms = await alarms_of(
            settings,
            adapters,
            log,
            status=lambda: worker.status,
            observer=observer,
            silences=silences,
            is_ours=lambda: shards is None or shards.has_duties,
            telemetry=telemetry,
            logger=logger,
        )
        delivery = Delivery(relays, retention, shards, alarms)
        worker = Worker(
            records=records,
            log=log,
            prober=prober,
            telemetry=telemetry,
            config=settings.worker_config(_max_concurrency(settings.max_concurrency, prober.capacity, logger)),
            canaries=canary_targets(settings.canaries, float(settings.timeout)),
            shards=shards,
            logger=logger,
            on_commit=delivery.wake,
        )
        if isinstance(records, WatchedRecords):
            records.on_change(worker.refresh)
        gone_games = GoneGames(log, worker, logger, writes_events=settings.ended_events)
        part = "" if settings.shard is None else f"{settings.shard.number}/{settings.shard.count}"
        watch = WatchRecorder(log, worker.status, logger, part=part)
        notes = observer if isinstance(observer, NotObservedNotes) else None
        yield Parts(records, log, worker, delivery, leases, prober, gone_games, silences, heartbeat, watch, notes)


async def _log(
    settings: Settings, adapters: Adapters, counters: Counters
) -> tuple[HealthEventLog, JetStreamLeases | None]:
    if settings.cluster is None:
        return await adapters.log(settings.log), None
    lease = float(settings.lease or DEFAULT_LEASE)
    return await adapters.cluster(settings.cluster, lease, lambda: counters.games, settings.rule)


def _static_shards(settings: Settings) -> StaticShards | None:
    """Returns the shards of --shard. The instance with the first part delivers and prunes."""
    if settings.shard is None:
        return None
    from healthprobe.worker.static_shards import StaticShards

    return StaticShards(settings.shard.shards, has_duties=settings.shard.number == 1)


async def _publishers(settings: Settings, adapters: Adapters) -> dict[str, HealthEventPublisher]:
    """Returns the publishers by the names of their relays."""
    publishers: dict[str, HealthEventPublisher] = {}
    for url in dict.fromkeys(settings.publish):
        name = publisher_name(url)
        if name in publishers:
            raise ConfigurationError(
                f"--publish {name} is the name of two URLs: leave one out, or add a word to a webhook, as in #ops"
            )
        publishers[name] = await adapters.publisher(url)
    return publishers


async def _set_source(
    publishers: Iterable[HealthEventPublisher], settings: Settings, log: HealthEventLog, logger: FilteringBoundLogger
) -> None:
    """Gives publishers the source that the settings name, or else one made of the log's own identity."""
    source = settings.source
    if source is None and isinstance(log, LogIdentity):
        try:
            source = source_of(await retry_until_available(log.identity, logger))
        except ContentError as error:
            message = "events have the source of a log without an identity: --source names one of their own"
            logger.warning(message, source=DEFAULT_SOURCE, err=error_text(error))
    for publisher in publishers:
        if source is not None and isinstance(publisher, SourcedPublisher):
            publisher.set_source(source)


def _max_concurrency(wanted: int | None, capacity: int, logger: FilteringBoundLogger) -> int | AutoLanes:
    if wanted is None:
        return AutoLanes(ceiling=capacity)
    if wanted > capacity:
        logger.warning("fewer probes in flight than asked for: the limit of open files", wanted=wanted, used=capacity)
    return min(wanted, capacity)
