"""Log lines that cannot fail, and warnings that are repeated once a minute at most."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger

_PERIOD = 60.0


class SafeLogger:
    """A logger that never raises, with `keys` on every line: a full disk must not silence an alarm."""

    def __init__(self, logger: FilteringBoundLogger | None, **keys: str) -> None:
        self._logger: Any = (logger or structlog.get_logger()).bind(**keys)

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


class RateLimitedWarning:
    """A warning that is logged at once the first time, then once a minute at most, with its number of occurrences."""

    def __init__(self, logger: SafeLogger, message: str, monotonic: Callable[[], float]) -> None:
        self._logger = logger
        self._message = message
        self._monotonic = monotonic
        self._occurrences = 0
        self._silent_until = float("-inf")

    def warn(self, cause: str) -> None:
        """Counts an occurrence, and logs it if the last line is a minute old."""
        self._occurrences += 1
        now = self._monotonic()
        if now >= self._silent_until:
            self._silent_until = now + _PERIOD
            occurrences, self._occurrences = self._occurrences, 0
            self._logger.warning(self._message, err=cause, times=occurrences)

    def warn_of(self, error: BaseException) -> None:
        """The same for an exception."""
        self.warn(f"{type(error).__name__}: {error}")
