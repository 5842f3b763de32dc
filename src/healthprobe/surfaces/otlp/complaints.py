"""The complaints: what OpenTelemetry's libraries log, told once a minute among our own lines."""

from __future__ import annotations

import logging
import time

from structlog.typing import FilteringBoundLogger

from healthprobe.worker.bystanders import Voice
from healthprobe.worker.once_a_minute import OnceAMinute

_LIBRARY = "opentelemetry"


class Complaints(logging.Handler):
    """Between `listen` and `close` the libraries' warnings come here, and nowhere else."""

    def __init__(self, logger: FilteringBoundLogger | None) -> None:
        super().__init__(logging.WARNING)
        self._voice = OnceAMinute(Voice(logger), "export to the OpenTelemetry collector failed", time.monotonic)
        self._library = logging.getLogger(_LIBRARY)
        self._propagated = self._library.propagate

    def listen(self) -> None:
        self._library.addHandler(self)
        self._library.propagate = False

    def close(self) -> None:
        self._library.removeHandler(self)
        self._library.propagate = self._propagated
        super().close()

    def tell(self, cause: str) -> None:
        """Something of our own went wrong on the way."""
        self._voice.tell(cause)

    def emit(self, record: logging.LogRecord) -> None:
        self.tell(record.getMessage())
