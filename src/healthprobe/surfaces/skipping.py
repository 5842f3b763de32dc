"""Skipping: what is said of records that a store could not read."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from healthprobe.ports import Telemetry


class SkippedRecords:
    """Counts the records that each listing leaves out, and says so when the first reason changes, not every tick."""

    def __init__(self, telemetry: Telemetry | None, logger: FilteringBoundLogger) -> None:
        self._telemetry = telemetry
        self._logger = logger
        self._told = ""

    def tell(self, count: int, first_reason: str) -> None:
        """The last listing left out `count` records, the first of them for `first_reason`."""
        if self._telemetry is not None:
            self._telemetry.record_skipped_records(count)
        if first_reason == self._told:
            return
        self._told = first_reason
        if count:
            self._logger.warning("records skipped", count=count, err=first_reason)
        else:
            self._logger.info("no record is skipped any more")
