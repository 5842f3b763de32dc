"""The alert relay: makes one alerter know which alerts are open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from math import inf
from random import random
from typing import Any

from healthprobe._util.aio import CALL_TIMEOUT, COLLABORATOR_ERRORS, error_text, raise_if_cancelled
from healthprobe._util.safe_logging import Logger, RateLimitedWarning, SafeLogger
from healthprobe.alarms.documents import ALERTERS, AlerterState, SentAlert, sent_kind
from healthprobe.domain.alarms.alert import ENGINE_NOT_ANSWERING, Alert, ResolvedAlert
from healthprobe.domain.alarms.alerting import DecidedAlert, is_worth_a_message
from healthprobe.domain.schedule import backoff
from healthprobe.ports import (
    Alerter,
    DocumentLog,
    LogError,
    MessageAlerter,
    PublisherClosed,
    PublishError,
    RepeatingAlerter,
    Telemetry,
)
from healthprobe.worker.config import WORKER_KEY
from healthprobe.worker.relay import BATCH, LONGEST_WAIT, BatchSize
from healthprobe.worker.safe_telemetry import NullTelemetry, SafeTelemetry

_LONGEST_RETRY_AFTER = 3600.0
_NEVER = 3600.0
_SHORTEST_REST = 0.1
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The alerts that an alerter should know: those that are `open`, those of them that are `routed` to it, each with
    its severity, and those that are `over`, by key.
    """

    open: Mapping[str, DecidedAlert]
    routed: Mapping[str, str]
    over: Mapping[str, DecidedAlert]


class AlertRelay:
    """Fires and resolves alerts at one alerter until it knows what is wanted, and repeats those that it may forget.

    What it was sent is kept under its name. That an alert may have arrived is kept before it is sent, so that it is
    resolved also if we are killed in between. What fails is tried again, as a relay does; what is refused for good is
    parked: it is tried again when the alert changes, or by the next run. PublisherClosed ends it. It begins to send
    nothing while it is not ours: after a pause another instance may have resolved what we would fire again.
    """

    def __init__(
        self,
        *,
        log: DocumentLog,
        alerter: Alerter,
        name: str,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        is_ours: Callable[[], bool],
        telemetry: Telemetry | None = None,
        logger: Logger | None = None,
    ) -> None:
        self._log = log
        self._alerter = alerter
        self.name = name
        self._clock = clock
        self._monotonic = monotonic
        self._is_ours = is_ours
        self._logger = SafeLogger(logger, worker=WORKER_KEY, publisher=name)
        self._telemetry = SafeTelemetry(NullTelemetry() if telemetry is None else telemetry, self._logger)
        self._parked = RateLimitedWarning(self._logger, "alert parked: it is tried again when it changes", monotonic)
        self._batch_size = BatchSize(BATCH, monotonic)
        self._repeat = alerter.repeat_interval if isinstance(alerter, RepeatingAlerter) else None
        self._updates = alerter.takes_updates if isinstance(alerter, MessageAlerter) else True
        self._wanted: Wanted | None = None
        self._sent: dict[str, SentAlert] | None = None
        self._kept_lag: int | None = None
        self._woken = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._failures = 0
        self._retry_after = 0.0
        self._logged_causes: set[str] = set()
        self._ended = False

    def want(self, wanted: Wanted) -> None:
        """Sets what the alerter should know."""
        self._wanted = wanted
        self._woken.set()

    def knows(self, key: str) -> bool:
        """Returns whether an alert was, or may have been, sent to the alerter, and its end was not."""
        return self._sent is None or key in self._sent

    def begin_afresh(self) -> None:
        """Forgets what was read: another instance may have sent the alerter more since."""
        self._sent = self._wanted = self._kept_lag = None

    async def run(self) -> None:
        """Sends the alerter what is wanted, until cancelled or until PublisherClosed."""
        while not self._ended:
            self._woken.clear()
            if await self.send():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._until_next_repeat()):
                        await self._woken.wait()
            elif not self._ended:
                await asyncio.sleep(max(backoff(self._failures, random(), LONGEST_WAIT), self._retry_after))
                self._failures += 1

    async def send(self) -> bool:
        """Sends the alerter what is wanted now. False where the alerter or the log fails."""
        async with self._one_at_a_time:
            self._retry_after = 0.0
            try:
                if self._wanted is not None and self._is_ours():
                    if self._sent is None:
                        self._sent = await self._load()
                    await self._resolve_all(self._sent)
                    await self._fire_all(self._sent)
                    await self._keep_lag()
            except COLLABORATOR_ERRORS as error:
                raise_if_cancelled()
                self._failed(error)
                if not isinstance(error, LogError):
                    with contextlib.suppress(LogError):
                        await self._keep_lag()
                return False
            self._succeeded()
            return True

    async def _keep_lag(self) -> None:
        """Keeps how many alerts the alerter does not know as they are, for the command `relays`."""
        if self._kept_lag != (lag := self._lag()):
            await self._log.put_documents(ALERTERS, {self.name: AlerterState(lag).as_text()})
            self._kept_lag = lag

    async def _load(self) -> dict[str, SentAlert]:
        """Returns what was sent to the alerter. What it refused is tried once more: what was wrong may be put right."""
        sent = await self._log.documents(sent_kind(self.name))
        read = {key: SentAlert.from_text(text) for key, text in sent.items()}
        for each in read.values():
            each.refused = ""
        return read

    def _to_resolve(self) -> list[str]:
        if self._sent is None or self._wanted is None:
            return []
        return [key for key in self._sent if key not in self._wanted.open]

    def _to_fire(self) -> list[str]:
        """Returns the keys of the alerts that the alerter does not know as they are, and of those to be repeated."""
        if self._sent is None or self._wanted is None:
            return []
        found = [key for key in self._wanted.routed if key not in self._sent]
        known = [key for key in self._sent if key in self._wanted.open]
        return [*found, *(key for key in known if self._is_due(key, self._sent[key]))]

    def _is_due(self, key: str, sent: SentAlert) -> bool:
        """Returns whether the alerter does not know the alert as it is now, or is to be reminded of it."""
        assert self._wanted is not None
        if sent.seen is not self._wanted.open[key]:
            alert = self._alert(key, sent)
            digest = self._digest(alert)
            is_new = digest != sent.digest
            if sent.digest and not self._updates:
                is_new = is_worth_a_message(sent.games, len(alert.game_ids))
            if is_new and digest != sent.refused:
                return True
            sent.seen = self._wanted.open[key]
        return not sent.refused and self._repeats_at(sent) <= self._monotonic()

    def _repeats_at(self, sent: SentAlert) -> float:
        return inf if self._repeat is None else sent.fired_at + self._repeat

    def _until_next_repeat(self) -> float:
        times = [self._repeats_at(each) for each in (self._sent or {}).values() if not each.refused]
        return min(max(min(times, default=inf) - self._monotonic(), _SHORTEST_REST), _NEVER)

    def _alert(self, key: str, sent: SentAlert | None) -> Alert:
        """Returns an open alert with the severity with which it was sent first.

        Another one is another alert at Alertmanager, where nothing would resolve the first.
        """
        assert self._wanted is not None
        severity = sent.severity if sent else self._wanted.routed.get(key, "critical")
        return self._wanted.open[key].alert(severity)

    def _digest(self, alert: Alert) -> str:
        """Returns a digest of what of an alert may change while it lasts."""
        content = "\0".join([alert.severity, str(alert.group_size), *alert.game_ids])
        return sha256(content.encode(errors="surrogatepass")).hexdigest()[:16]

    async def _fire_all(self, sent: dict[str, SentAlert]) -> None:
        """Fires what the alerter does not know. What is over by then is resolved before, each time.

        A game that fails again has another alert with the same labels, and Alertmanager knows an alert by these alone:
        resolved after the new one was fired, the old one would end that.
        """
        keys = self._to_fire()
        while keys and self._is_ours():
            await self._resolve_all(sent)
            assert self._wanted is not None
            batch = [key for key in keys[: self._batch_size.size] if key in self._wanted.open]
            keys = keys[self._batch_size.size :]
            await self._fire(batch, sent)

    async def _fire(self, keys: list[str], sent: dict[str, SentAlert]) -> None:
        """Fires the alerts of `keys`, which are open. What may arrive is kept before, what has arrived after."""
        alerts = [self._alert(key, sent.get(key)) for key in keys]
        new = [key for key in keys if key not in sent]
        for key, alert in zip(keys, alerts, strict=True):
            sent.setdefault(key, SentAlert(severity=alert.severity))
        await self._keep(new, sent)
        while alerts:
            refusal = await self._call(self._alerter.fire(alerts), len(alerts))
            count = len(alerts) if refusal is None else refusal.delivered
            changed = [alert.key for alert in alerts[:count] if self._acknowledge(alert, sent[alert.key])]
            if refusal is not None and _concerns_one_alert(refusal, alerts):
                self._park(alerts[count].key, sent[alerts[count].key], self._digest(alerts[count]), refusal)
                changed.append(alerts[count].key)
                count += 1
            elif refusal is not None:
                await self._keep(changed, sent)
                raise refusal
            await self._keep(changed, sent)
            alerts = alerts[count:]

    def _acknowledge(self, alert: Alert, sent: SentAlert) -> bool:
        """Returns whether that is more than was known."""
        before = (sent.digest, sent.severity, sent.refused)
        sent.digest, sent.severity, sent.refused = self._digest(alert), alert.severity, ""
        sent.games = len(alert.game_ids)
        sent.fired_at = self._monotonic()
        self._failures = 0
        return before != (sent.digest, sent.severity, sent.refused)

    async def _resolve_all(self, sent: dict[str, SentAlert]) -> None:
        """Resolves until nothing that was sent is over, also where more is over meanwhile."""
        while keys := self._to_resolve():
            if refused := [key for key in keys if sent[key].is_refused_alone]:
                await self._forget(refused, sent)
                continue
            batch = [self._resolved(key, sent[key]) for key in keys[: self._batch_size.size]]
            refusal = await self._call(self._alerter.resolve(batch), len(batch))
            count = len(batch) if refusal is None else refusal.delivered
            if refusal is not None and _concerns_one_alert(refusal, batch):
                self._park(batch[count].alert.key, sent[batch[count].alert.key], "", refusal)
                count += 1
                refusal = None
            await self._forget([each.alert.key for each in batch[:count]], sent)
            if refusal is not None:
                raise refusal

    def _resolved(self, key: str, sent: SentAlert) -> ResolvedAlert:
        assert self._wanted is not None
        over = self._wanted.over.get(key)
        if over is not None:
            return over.resolved(sent.severity)
        self._logger.warning("an alert that was sent is not known any more: resolved by its key alone", key=key)
        now = self._clock()
        alert = Alert(
            key=key,
            name=ENGINE_NOT_ANSWERING,
            labels={},
            summary="an alert whose document was lost",
            last_error="",
            started_at=now,
            game_ids=(),
            severity=sent.severity,
        )
        return ResolvedAlert(alert=alert, resolved_at=now)

    async def _call(self, call: Coroutine[Any, Any, None], count: int) -> PublishError | None:
        """Awaits a call of the alerter. Returns what it refused. While it does not answer, says so and waits on."""
        with self._batch_size.measured():
            calling = asyncio.ensure_future(call)
            try:
                while not (await asyncio.wait({calling}, timeout=CALL_TIMEOUT))[0]:
                    self._failed(PublishError(f"no answer for {CALL_TIMEOUT:g}s"))
            finally:
                if not calling.done():
                    calling.cancel()
                    await asyncio.gather(calling, return_exceptions=True)
        try:
            calling.result()
        except PublishError as refusal:
            refusal.delivered = min(refusal.delivered, count)
            return refusal
        return None

    def _park(self, key: str, sent: SentAlert, digest: str, refusal: PublishError) -> None:
        sent.refused = digest
        self._parked.warn(f"{key}: {error_text(refusal)}")
        self._telemetry.record_parked(self.name)

    async def _keep(self, keys: Sequence[str], sent: Mapping[str, SentAlert]) -> None:
        if keys:
            await self._log.put_documents(sent_kind(self.name), {key: sent[key].as_text() for key in keys})

    async def _forget(self, keys: Sequence[str], sent: dict[str, SentAlert]) -> None:
        if keys:
            await self._log.put_documents(sent_kind(self.name), dict.fromkeys(keys))
            for key in keys:
                del sent[key]

    def _lag(self) -> int:
        return len(self._to_fire()) + len(self._to_resolve())

    def _failed(self, error: BaseException) -> None:
        self._ended = isinstance(error, PublisherClosed)
        self._retry_after = min(getattr(error, "retry_after", None) or 0.0, _LONGEST_RETRY_AFTER)
        is_log = isinstance(error, LogError)
        text = f"waits for the log: {error_text(error)}" if is_log else error_text(error)
        code = getattr(error, "code", "")
        lag = self._lag()
        self._telemetry.record_lag(self.name, lag)
        self._telemetry.record_delivery(self.name, text, code)
        cause = "log" if is_log else code
        if self._ended:
            self._logger.error("alerter ended", err=error_text(error))
        elif cause not in self._logged_causes:
            message = "alerts wait for the log, will retry" if is_log else "alerts failing, will retry"
            self._logger.warning(message, err=error_text(error), alerts=lag)
        self._logged_causes.add(cause)

    def _succeeded(self) -> None:
        self._failures = 0
        self._telemetry.record_lag(self.name, 0)
        self._telemetry.record_delivery(self.name, None)
        if self._logged_causes:
            self._logged_causes.clear()
            self._logger.info("alerts are delivered again")


def _concerns_one_alert(refusal: PublishError, sent: Sequence[object]) -> bool:
    return refusal.permanent and not isinstance(refusal, PublisherClosed) and refusal.delivered < len(sent)
