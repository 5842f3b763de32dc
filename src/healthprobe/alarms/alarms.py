"""Alarms: decides which alerts are open, keeps them with the log, and gives each alerter what it has to know."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from random import random
from typing import Protocol

from healthprobe._util.aio import (
    COLLABORATOR_ERRORS,
    background_tasks,
    cooperative_iter,
    error_text,
    raise_if_cancelled,
)
from healthprobe._util.safe_logging import Logger, SafeLogger
from healthprobe.alarms.alert_relay import AlertRelay, Wanted
from healthprobe.alarms.alerter_states import sent_to_others
from healthprobe.alarms.documents import ALERTS, alerts_in, documents_of, keys_of
from healthprobe.alarms.earlier_relays import EarlierLog, adopt_relays
from healthprobe.alarms.fleet import Fleet
from healthprobe.alarms.incidents import FollowedLog, Incidents
from healthprobe.alarms.not_observed import NOT_OBSERVED, ObservedFleet, Observer
from healthprobe.domain.alarms.alert import AlertRoute
from healthprobe.domain.alarms.alert_routing import receivers
from healthprobe.domain.alarms.alerting import DecidedAlert, GroupRule, OpenIncident, decide, groups_to_count
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.schedule import backoff
from healthprobe.ports import Alerter, Telemetry
from healthprobe.worker.config import WORKER_KEY, utc_now
from healthprobe.worker.relay import LONGEST_WAIT

_INCIDENTS_A_TURN = 500
"""The most open incidents that are looked at between two turns of the loop."""

_REST_FACTOR = 4.0
"""The pause after a look, in times of its duration: where thousands of games fail, each commit wakes us."""

IsSilenced = Callable[[str, str, Mapping[str, str], datetime], bool]
"""Called with a game's id, its host, its labels and the time: returns whether no alarm is to be raised for it."""


class AlarmLog(FollowedLog, EarlierLog, Protocol):
    """The log as the alarm stage uses it: its events, the documents that are kept with it, and what relays left."""


def _nothing_is_silenced(_game_id: str, _host: str, _labels: Mapping[str, str], _now: datetime) -> bool:
    return False


class Alarms:
    """Gives each alerter the alerts that are open, for as long as `run` runs.

    `identity` is the log's: the keys of alerts begin with it. `alerters` are by the URL of their route and by name;
    `earlier_relays` has the names of the relays that an alerter, by its name, takes the place of.
    A game that answers by now is found out `probed_within` so long after it is listed: no alert of an earlier incident
    of it fires before. While `is_ours` says that another instance tells the alerters, nothing is sent.
    The other arguments are explained in the docstring of this room.
    """

    def __init__(
        self,
        *,
        log: AlarmLog,
        identity: str,
        alerters: Mapping[str, Mapping[str, Alerter]],
        routes: Sequence[AlertRoute],
        rule: GroupRule,
        listing: Callable[[], Sequence[RuntimeRecord]],
        is_silenced: IsSilenced = _nothing_is_silenced,
        is_gone: Callable[[str], bool] = lambda _: False,
        observer: Observer | None = None,
        shortest_group_wait: timedelta = timedelta(0),
        earlier_relays: Mapping[str, Sequence[str]] = {},
        telemetry: Telemetry | None = None,
        logger: Logger | None = None,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        probed_within: timedelta = timedelta(),
        is_ours: Callable[[], bool] = lambda: True,
        poll_interval: float = 1.0,
    ) -> None:
        self._log = log
        self._identity = identity
        self._routes = routes
        self._rule = rule
        self._is_silenced = is_silenced
        self._is_gone = is_gone
        self._earlier_relays = earlier_relays
        self._clock = clock
        self._monotonic = monotonic
        self._poll_interval = poll_interval
        self._probed_within = probed_within
        self._logger = SafeLogger(logger, worker=WORKER_KEY)
        self._incidents = Incidents(log, clock)
        self._fleet = Fleet(listing)
        self._observed = ObservedFleet(observer, max(rule.wait, shortest_group_wait))
        self._relays = [
            (
                url,
                AlertRelay(
                    log=log,
                    alerter=alerter,
                    name=name,
                    clock=clock,
                    monotonic=monotonic,
                    is_ours=is_ours,
                    telemetry=telemetry,
                    logger=logger,
                ),
            )
            for url, by_name in alerters.items()
            for name, alerter in by_name.items()
        ]
        self._alerts: dict[str, DecidedAlert] | None = None
        self._sent_by_others: frozenset[str] = frozenset()
        self._have_begun = False
        self._all_sent_at: tuple[int, int, frozenset[str]] | None = None
        self._labels: dict[str, Mapping[str, str]] = {}
        self._look_again_at: datetime | None = None
        self._woken = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._error = ""
        self._failures = 0

    @property
    def names(self) -> list[str]:
        """The names of the alerters."""
        return [relay.name for _, relay in self._relays]

    def wake(self) -> None:
        """The log has something new, or a silence has changed. Both are also polled."""
        self._woken.set()

    async def run(self) -> None:
        """Looks at the log and sends the alerters what is new, until cancelled."""
        self._alerts, self._have_begun, self._all_sent_at = None, False, None
        for _, relay in self._relays:
            relay.begin_afresh()
        async with background_tasks(*(relay.run() for _, relay in self._relays)):
            while True:
                self._woken.clear()
                began = self._monotonic()
                if await self.look():
                    self._failures = 0
                    await asyncio.sleep(min(_REST_FACTOR * (self._monotonic() - began), self._poll_interval))
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._until_next_look()):
                            await self._woken.wait()
                else:
                    await asyncio.sleep(backoff(self._failures, random(), LONGEST_WAIT))
                    self._failures += 1

    async def drain(self, within: float) -> None:
        """Sends the alerters what the log holds now, for at most `within` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                if await self.look():
                    await asyncio.gather(*(relay.send() for _, relay in self._relays))

    async def look(self) -> bool:
        """Reads the log, decides, and keeps what was decided. False where the log fails, or nothing is listed yet."""
        async with self._one_at_a_time:
            try:
                if self._alerts is None:
                    alerts = alerts_in(await self._log.documents(ALERTS), self._warn_of_altered)
                    await self._incidents.begin(game_id for each in alerts.values() for game_id in each.members)
                    self._sent_by_others = await self._keys_of_others()
                    self._alerts = alerts
                await self._incidents.refresh()
                unobserved = await self._observed.look(self._alerts.values())
                is_listed = await self._fleet.read(self._incidents.open.keys() | unobserved)
                if is_listed and self._observed.is_ready and not self._nothing_can_have_changed():
                    if not self._have_begun:
                        self._alerts = await self._with_those_of_relays(self._alerts)
                    await self._decide(self._alerts)
            except COLLABORATOR_ERRORS as error:
                raise_if_cancelled()
                if not self._error:
                    self._logger.warning("alarms wait for the log, will retry", err=error_text(error))
                self._error = error_text(error)
                return False
            if self._error:
                self._error = ""
                self._logger.info("alarms follow the log again")
            return True

    async def _keys_of_others(self) -> frozenset[str]:
        """Returns the keys of the alerts that alerters were sent which this stage does not have.

        They stay open there. Such an alerter may come back, and can resolve them only if they are still known.
        """
        sent = await sent_to_others(self._log, self.names, self._logger)
        return frozenset(key for keys in sent.values() for key in keys)

    async def _with_those_of_relays(self, alerts: dict[str, DecidedAlert]) -> dict[str, DecidedAlert]:
        return await adopt_relays(
            self._log,
            self._earlier_relays,
            alerts,
            identity=self._identity,
            open_incidents=self._incidents.open,
            labels_of=self._fleet.labels,
            now=self._clock(),
            logger=self._logger,
        )

    def _nothing_can_have_changed(self) -> bool:
        """Returns whether all was sent when we looked last, and the log and the listing are as they were then."""
        return self._all_sent_at == self._moment()

    def _moment(self) -> tuple[int, int, frozenset[str]]:
        return self._incidents.changes, id(self._fleet.listing), frozenset(self._observed.found)

    async def _decide(self, before: dict[str, DecidedAlert]) -> None:
        incidents = await self._open_incidents()
        now = self._clock()
        of_incidents = {key: alert for key, alert in before.items() if not alert.is_not_observed}
        others = {key: alert for key, alert in before.items() if alert.is_not_observed}

        def is_silenced(incident: OpenIncident) -> bool:
            return self._is_silenced(incident.game_id, incident.labels.get("host", ""), incident.labels, now)

        decision = decide(
            of_incidents,
            incidents,
            rule=self._rule,
            identity=self._identity,
            now=now,
            group_sizes=await self._fleet.sizes(groups_to_count(of_incidents, incidents, self._rule)),
            is_silenced=is_silenced,
            ended_at=self._incidents.ended_at,
            ended_as_gone=self._incidents.ended_as_gone,
        )
        observed, unobserved = await self._observed.decide(
            others,
            incidents,
            self._fleet.labels,
            self._is_gone,
            is_silenced,
            identity=f"{self._identity}/{NOT_OBSERVED}",
            now=now,
        )
        incidents = {**unobserved, **incidents}
        alerts = {
            key: alert
            for key, alert in {**decision.alerts, **observed.alerts}.items()
            if alert.is_open or before.get(key) is not alert or key in self._sent_by_others or self._is_known(key)
        }
        self._look_again_at = min(filter(None, (decision.look_again_at, observed.look_again_at)), default=None)
        alerted = sum(len(alert.members) for alert in alerts.values() if alert.is_open)
        is_all = alerted == len(incidents) and all(
            alert.is_open or (before.get(key) is alert and not self._is_known(key)) for key, alert in alerts.items()
        )
        is_all = is_all and unobserved.keys() <= self._observed.found.keys()
        is_all = is_all and self._look_again_at is None and all(each.is_listed for each in incidents.values())
        self._incidents.forget_ends({game_id for alert in alerts.values() for game_id in alert.members})
        if not self._have_begun or alerts != before:
            await self._keep(before, alerts)
            self._alerts = alerts
            self._send(alerts, incidents)
            self._have_begun = True
        self._all_sent_at = self._moment() if is_all else None

    def _is_known(self, key: str) -> bool:
        """Returns whether one of the alerters knows the alert, and not yet its end."""
        return any(relay.knows(key) for _, relay in self._relays)

    async def _open_incidents(self) -> dict[str, OpenIncident]:
        """Returns what is open in the log, with what the listing knows of each game.

        A game that is not listed any more has the labels that were known last.
        """
        found: dict[str, OpenIncident] = {}
        now, lead = self._clock(), self._probed_within - self._rule.wait
        labels_of_open: dict[str, Mapping[str, str]] = {}
        async for game_id, failed in cooperative_iter(self._incidents.open.items(), _INCIDENTS_A_TURN):
            listed = self._fleet.labels(game_id)
            labels = listed or self._labels.get(game_id) or {**failed.labels, "game_id": game_id}
            labels_of_open[game_id] = labels
            found[game_id] = OpenIncident(
                failed,
                self._incidents.known_since(game_id, now, is_listed=listed is not None, lead=lead),
                labels,
                is_listed=listed is not None,
                is_gone=listed is None and self._is_gone(game_id),
            )
        self._labels = labels_of_open
        return found

    async def _keep(self, before: Mapping[str, DecidedAlert], after: Mapping[str, DecidedAlert]) -> None:
        """Stores what has changed. What an alert has no more is removed."""
        changes: dict[str, str | None] = {}
        async for key in cooperative_iter(before.keys() - after.keys()):
            changes.update(dict.fromkeys(keys_of(before[key])))
        changed = [(key, alert) for key, alert in after.items() if before.get(key) is not alert]
        async for key, alert in cooperative_iter(changed):
            if key in before:
                changes.update(dict.fromkeys(keys_of(before[key])))
            changes.update(documents_of(alert))
        if changes:
            await self._log.put_documents(ALERTS, changes)

    def _send(self, alerts: Mapping[str, DecidedAlert], incidents: Mapping[str, OpenIncident]) -> None:
        open_alerts = {key: alert for key, alert in alerts.items() if alert.is_open}
        over = {key: alert for key, alert in alerts.items() if not alert.is_open}
        routed: dict[str, dict[str, str]] = {url: {} for url, _ in self._relays}
        for key, alert in open_alerts.items():
            labels = [incidents[game_id].labels for game_id in alert.members if game_id in incidents]
            for url, severity in receivers(self._routes, labels or [alert.labels]).items():
                routed.setdefault(url, {})[key] = severity
        for url, relay in self._relays:
            relay.want(Wanted(open_alerts, routed[url], over))

    def _until_next_look(self) -> float:
        if self._look_again_at is None:
            return self._poll_interval
        return min(max((self._look_again_at - self._clock()) / timedelta(seconds=1), 0.01), self._poll_interval)

    def _warn_of_altered(self, problem: str) -> None:
        self._logger.error("alert altered in the log: not known any more", err=problem)
