"""Telemetry that cannot break a worker."""

from __future__ import annotations

from collections.abc import Callable

from healthprobe._util.safe_logging import SafeLogger
from healthprobe.domain.event import EventType
from healthprobe.domain.outcome import ProbeOutcome
from healthprobe.ports import Telemetry


class SafeTelemetry:
    """Passes reports on to a Telemetry, and logs what it raises.

    `record_probe` is not here: it is called once a probe, and its one caller handles all errors of an outcome.
    """

    def __init__(self, telemetry: Telemetry, logger: SafeLogger) -> None:
        self._telemetry = telemetry
        self._logger = logger

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

    def record_altered(self, publisher: str) -> None:
        self._report(self._telemetry.record_altered, publisher)

    def record_delivery(self, publisher: str, error: str | None, code: str = "") -> None:
        self._report(self._telemetry.record_delivery, publisher, error, code)

    def _report(self, record: Callable[..., None], *figures: object) -> None:
        try:
            record(*figures)
        except Exception as error:  # noqa: BLE001  telemetry must not stop a worker
            self._logger.warning("telemetry failed", err=repr(error))


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

    def record_altered(self, publisher: str) -> None: ...

    def record_delivery(self, publisher: str, error: str | None, code: str = "") -> None: ...
