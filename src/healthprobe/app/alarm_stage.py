"""Puts the alarm stage of a run together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from socket import gethostname
from typing import TYPE_CHECKING

from healthprobe._util.safe_logging import SafeLogger
from healthprobe.alarms.alarms import Alarms
from healthprobe.alarms.alerter_states import sent_to_others
from healthprobe.alarms.not_observed import Observer, WorkerObserver
from healthprobe.alarms.not_observed_notes import NotObservedNotes
from healthprobe.alarms.silences import Silences
from healthprobe.app.settings import Settings
from healthprobe.app.startup import retry_until_available
from healthprobe.app.url_names import NOTIFY, notification_name, shown
from healthprobe.app.urls import Adapters
from healthprobe.domain.event import DEFAULT_SOURCE
from healthprobe.ports import ConfigurationError, ContentError, DocumentLog, HealthEventLog, LogIdentity, Telemetry
from healthprobe.worker.worker_status import WorkerStatus

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


async def alarms_of(
    settings: Settings,
    adapters: Adapters,
    log: HealthEventLog,
    *,
    status: Callable[[], WorkerStatus],
    silences: Silences,
    is_ours: Callable[[], bool],
    telemetry: Telemetry,
    logger: FilteringBoundLogger,
    observer: Observer | None = None,
) -> Alarms | None:
    """Returns the alarm stage of a worker with this `status`, or None without an alerter.

    Raises ConfigurationError.
    """
    if not settings.routes:
        if isinstance(log, DocumentLog):
            await retry_until_available(partial(sent_to_others, log, (), SafeLogger(logger)), logger)
        return None
    if not isinstance(log, DocumentLog):
        option = "--alert" if settings.alerts else "--notify"
        raise ConfigurationError(
            f"{option}: the log {shown(settings.log)} keeps no documents, and what was sent must be kept: "
            "use --log sqlite: or postgresql: or nats:"
        )
    urls = dict.fromkeys(route.url for route in settings.routes)
    alerters = {url: await adapters.alerters(url) for url in urls}
    names = [name for by_name in alerters.values() for name in by_name]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ConfigurationError(f"{repeated[0]} is the name of two alerters: leave one out")
    if settings.group_rule.label is not None and 0 < settings.alert_wait < settings.interval:
        logger.warning(
            "--alert-wait is shorter than --interval: the games of a dead host fail over a whole interval, "
            "and may be many alerts",
            alert_wait=str(settings.alert_wait),
            interval=str(settings.interval),
        )
    return Alarms(
        log=log,
        identity=await _identity(settings, log, logger),
        alerters=alerters,
        routes=settings.routes,
        rule=settings.group_rule,
        listing=lambda: status().listing,
        is_silenced=silences.is_silenced,
        is_gone=lambda game_id: status().is_gone(game_id),
        observer=observer,
        shortest_group_wait=timedelta(seconds=float(settings.interval)),
        earlier_relays={
            name: (name, notification_name(url.removeprefix(NOTIFY)))
            for url, by_name in alerters.items()
            if url.startswith(NOTIFY)
            for name in by_name
        },
        telemetry=telemetry,
        logger=logger,
        is_ours=is_ours,
        probed_within=timedelta(seconds=settings.interval * settings.policy.successes + settings.timeout),
    )


def observer_of(
    log: HealthEventLog, status: Callable[[], WorkerStatus], logger: FilteringBoundLogger, *, has_others: bool
) -> WorkerObserver | NotObservedNotes:
    """Returns what knows which games are not observed: those of this instance, and with others those of all."""
    own = WorkerObserver(status, gethostname())
    return NotObservedNotes(log, own, logger) if has_others and isinstance(log, DocumentLog) else own


async def _identity(settings: Settings, log: HealthEventLog, logger: FilteringBoundLogger) -> str:
    """Returns what the keys of the log's alerts begin with: the log's identity, or else the source of its events."""
    if isinstance(log, LogIdentity):
        try:
            return await retry_until_available(log.identity, logger)
        except ContentError:
            pass  # _set_source has said so
    return settings.source or DEFAULT_SOURCE
