"""Puts the parts of a run together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from healthprobe.app.settings import DEFAULT_LEASE, Settings
from healthprobe.app.startup import patiently
from healthprobe.app.url_names import notification_name, publisher_name
from healthprobe.app.urls import Adapters, EventLine
from healthprobe.domain.endpoint import InvalidEndpoint, masked, parse_endpoint
from healthprobe.domain.networks import InvalidNetwork, Network, Networks, parse_network
from healthprobe.domain.probe_settings import ProbeSettings
from healthprobe.domain.schedule import AutoLanes
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import (
    ConfigurationError,
    HealthEventLog,
    HealthEventPublisher,
    RuntimeRecordStore,
    Telemetry,
    WatchedRecords,
)

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from healthprobe.adapters.nats import JetStreamLeases
    from healthprobe.app.delivery import Duties
    from healthprobe.probing.prober import ProberByKind
    from healthprobe.worker.relay import Relay
    from healthprobe.worker.static_shards import StaticShards
    from healthprobe.worker.worker import Worker


def canary_targets(urls: Sequence[str], timeout: float) -> tuple[ProbeTarget, ...]:
    """What is asked at exactly these URLs, within `timeout` seconds. Raises ConfigurationError for what is none."""
    return tuple(_target_of(url, timeout) for url in dict.fromkeys(urls))


def networks_of(settings: Settings) -> Networks:
    """The networks that may be probed. Raises ConfigurationError, by the option, for what is none."""
    found: dict[str, tuple[Network, ...]] = {}
    for option, texts in (("--allow-network", settings.allow_networks), ("--deny-network", settings.deny_networks)):
        try:
            found[option] = tuple(map(parse_network, texts))
        except InvalidNetwork as invalid:
            raise ConfigurationError(f"{option}: {invalid}") from invalid
    return Networks(found["--allow-network"], found["--deny-network"])


def _target_of(url: str, timeout: float) -> ProbeTarget:
    try:
        endpoint = parse_endpoint(url)
    except InvalidEndpoint as invalid:
        raise ConfigurationError(
            f"--canary {masked(url)}: {invalid}; write something that always answers 200, as https://gateway/status"
        ) from invalid
    settings = ProbeSettings(path=endpoint.prefix or "/")
    name = f"canary {endpoint.url}"
    return ProbeTarget(name, replace(endpoint, prefix=""), timeout, settings, is_game=False)


@dataclass(frozen=True, slots=True)
class Parts:
    """A run, put together and not started. `leases` is None where it shares the fleet with nobody."""

    records: RuntimeRecordStore
    log: HealthEventLog
    worker: Worker
    duties: Duties
    leases: JetStreamLeases | None
    prober: ProberByKind


@asynccontextmanager
async def composed(
    settings: Settings,
    *,
    telemetry: Telemetry,
    logger: FilteringBoundLogger,
    line: EventLine | None = None,
    traceparent: Callable[[str], bytes] | None = None,
) -> AsyncIterator[Parts]:
    """Open what `settings` name, in a running loop, and close it in the end. `line` is how stdout: writes an event,
    `traceparent` what a probe's request tells of its trace.

    A store or a log that is away is waited for. Raises ConfigurationError before anything is probed.
    """
    from healthprobe.app.delivery import Duties
    from healthprobe.app.retention import Retention
    from healthprobe.probing.http import HTTPProber
    from healthprobe.probing.prober import ProberByKind
    from healthprobe.worker.worker import Worker

    async with AsyncExitStack() as stack:
        adapters = Adapters(logger=logger, telemetry=telemetry, line=line, webhook_secret=settings.webhook_secret)
        stack.push_async_callback(adapters.aclose)
        publishers = await _publishers(settings, adapters)
        records = await patiently(partial(adapters.records, settings.records, settings.records_query), logger)
        worker: Worker
        log, leases = await patiently(partial(_log, settings, adapters, lambda: worker.games), logger)
        shards = leases or _static_shards(settings)
        prober = ProberByKind(
            HTTPProber(
                keep_connections=settings.keep_connections,
                networks=networks_of(settings),
                identity_header=settings.identity_header,
                traceparent=traceparent,
            )
        )
        stack.push_async_callback(prober.aclose)
        relays = await _relays(publishers, settings, log, telemetry, logger)
        retention = None if settings.retain is None else Retention(log, publishers.keys(), settings.retain, logger)
        duties = Duties(relays, retention, shards)
        worker = Worker(
            records=records,
            log=log,
            prober=prober,
            telemetry=telemetry,
            config=settings.worker_config(_lanes(settings.max_concurrency, prober.capacity, logger)),
            canaries=canary_targets(settings.canaries, float(settings.timeout)),
            shards=shards,
            logger=logger,
            on_commit=duties.wake,
            on_sight=None if leases is None else leases.set_sight,
        )
        if isinstance(records, WatchedRecords):
            records.on_change(worker.refresh)
        yield Parts(records, log, worker, duties, leases, prober)


async def _log(
    settings: Settings, adapters: Adapters, games: Callable[[], int]
) -> tuple[HealthEventLog, JetStreamLeases | None]:
    """The log, and in a cluster the leases under which it is written."""
    if settings.cluster is None:
        return await adapters.log(settings.log), None
    return await adapters.cluster(settings.cluster, float(settings.lease or DEFAULT_LEASE), games, settings.rule)


def _static_shards(settings: Settings) -> StaticShards | None:
    """The part of the fleet that is ours for ever; the first of all parts delivers and prunes for the others."""
    if settings.shard is None:
        return None
    from healthprobe.worker.static_shards import StaticShards

    return StaticShards(settings.shard.shards, has_duties=settings.shard.number == 1)


async def _publishers(settings: Settings, adapters: Adapters) -> dict[str, HealthEventPublisher]:
    """The publishers by the names of their relays; none of them is asked for anything yet."""
    publishers: dict[str, HealthEventPublisher] = {}
    for url in dict.fromkeys(settings.publish):
        name = publisher_name(url)
        if name in publishers:
            raise ConfigurationError(
                f"--publish {name} is named by two URLs: leave one out, or end a webhook's with a word, as in #ops"
            )
        publishers[name] = await adapters.publisher(url)
    for url in dict.fromkeys(settings.notify):
        publishers[notification_name(url)] = await adapters.notifier(url)
    return publishers


async def _relays(
    publishers: dict[str, HealthEventPublisher],
    settings: Settings,
    log: HealthEventLog,
    telemetry: Telemetry,
    logger: FilteringBoundLogger,
) -> tuple[Relay, ...]:
    """A relay a publisher. A new bus gets the whole log, people only what happens from now on."""
    from healthprobe.worker.relay import Relay, begin_at_the_end

    for url in settings.notify:
        await patiently(partial(begin_at_the_end, log, notification_name(url)), logger)
    return tuple(
        Relay(log=log, publisher=publisher, name=name, telemetry=telemetry, logger=logger)
        for name, publisher in publishers.items()
    )


def _lanes(wanted: int | None, capacity: int, logger: FilteringBoundLogger) -> int | AutoLanes:
    if wanted is None:
        return AutoLanes(ceiling=capacity)
    if wanted > capacity:
        logger.warning("fewer probes in flight than asked for: the limit of open files", wanted=wanted, used=capacity)
    return min(wanted, capacity)
