"""Telling people the same thing once a minute, not once a probe."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger

from healthprobe.domain.event import EventType
from healthprobe.domain.outcome import ProbeOutcome
from healthprobe.ports import Telemetry

_PERIOD = 60.0


class RateLimitedWarning:
    """A warning that comes at once the first time, and then at most once a minute with how often it came since."""

    def __init__(self, logger: SafeLogger, message: str, monotonic: Callable[[], float]) -> None:
        self._logger = logger
        self._message = message
        self._monotonic = monotonic
        self._times = 0
        self._silent_until = float("-inf")

    def tell(self, cause: str) -> None:
        """Count it, and say so if a minute has passed."""
        self._times += 1
        now = self._monotonic()
        if now < self._silent_until:
            return
        times, self._times = self._times, 0
        self._silent_until = now + _PERIOD
        self._logger.warning(self._message, err=cause, times=times)


class SafeLogger:
    """Log lines that cannot fail, each with the reference's `worker` key: a full disk must not silence an alarm."""

    def __init__(self, logger: FilteringBoundLogger | None, **keys: str) -> None:
        self._logger: Any = (logger or structlog.get_logger()).bind(worker="rtmanager.healthprobe", **keys)

    def debug(self, message: str, **keys: object) -> None:
        with contextlib.suppress(Exception):
            self._logger.debug(message, **keys)

    def info(self, message: str, **keys: object) -> None:
        with contextlib.suppress(Exception):
            self._logger.info(message, **keys)

    def warning(self, message: str, **keys: object) -> None:
        with contextlib.suppress(Exception):
            self._logger.warning(message, **keys)

    def error(self, message: str, **keys: object) -> None:
        with contextlib.suppress(Exception):
            self._logger.error(message, **keys)


class SafeTelemetry:
    """A Telemetry whose faults are its own: what a report raises is said, and its number is lost."""

    def __init__(self, telemetry: Telemetry, voice: SafeLogger) -> None:
        self._telemetry = telemetry
        self._voice = voice

    def record_probe(self, game_id: str, outcome: ProbeOutcome, duration: float, lateness: float) -> None:
        try:
            self._telemetry.record_probe(game_id, outcome, duration, lateness)
        except Exception as error:  # noqa: BLE001  a bystander's
            self._voice.debug("telemetry failed", err=repr(error))

    def record_health_event(self, event_type: EventType) -> None:
        self._report(self._telemetry.record_health_event, event_type)

    def record_append(self, events: int, duration: float) -> None:
        self._report(self._telemetry.record_append, events, duration)

    def record_tick(self, games: int, duration: float, dropped: int) -> None:
        self._report(self._telemetry.record_tick, games, duration, dropped)

    def record_listing_error(self) -> None:
        self._report(self._telemetry.record_listing_error)

    def record_skipped_records(self, count: int) -> None:
        self._report(self._telemetry.record_skipped_records, count)

    def record_lag(self, publisher: str, events: int) -> None:
        self._report(self._telemetry.record_lag, publisher, events)

    def record_parked(self, publisher: str) -> None:
        self._report(self._telemetry.record_parked, publisher)

    def _report(self, record: Callable[..., None], *figures: object) -> None:
        try:
            record(*figures)
        except Exception as error:  # noqa: BLE001  a bystander's
            self._voice.warning("telemetry failed", err=repr(error))


class NullTelemetry:
    """A Telemetry that counts nothing."""

    def record_probe(self, game_id: str, outcome: ProbeOutcome, duration: float, lateness: float) -> None: ...

    def record_health_event(self, event_type: EventType) -> None: ...

    def record_append(self, events: int, duration: float) -> None: ...

    def record_tick(self, games: int, duration: float, dropped: int) -> None: ...

    def record_listing_error(self) -> None: ...

    def record_skipped_records(self, count: int) -> None: ...

    def record_lag(self, publisher: str, events: int) -> None: ...

    def record_parked(self, publisher: str) -> None: ...
