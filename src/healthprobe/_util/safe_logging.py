"""Log lines that cannot fail, and warnings that are repeated once a minute at most."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger

_PERIOD = 60.0


Logger = FilteringBoundLogger | logging.Logger
"""A logger of structlog or of the standard library."""


def default_logger() -> Logger:
    """Returns structlog's logger if the program has configured structlog, otherwise `logging.getLogger("healthprobe")`.

    Unconfigured, structlog prints to standard output, which belongs to the program.
    """
    configured: FilteringBoundLogger = structlog.get_logger()
    return configured if structlog.is_configured() else logging.getLogger("healthprobe")


class StdlibLogger:
    """Writes lines with keys to a logger of the standard library, as `message key=value`.

    The keys are also the record's attribute `healthprobe`, for handlers that write JSON.
    """

    def __init__(self, logger: logging.Logger, **keys: object) -> None:
        self._logger = logger
        self._keys = keys

    def debug(self, message: str, **keys: object) -> None:
        self._log(logging.DEBUG, message, keys)

    def info(self, message: str, **keys: object) -> None:
        self._log(logging.INFO, message, keys)

    def warning(self, message: str, **keys: object) -> None:
        self._log(logging.WARNING, message, keys)

    def error(self, message: str, **keys: object) -> None:
        self._log(logging.ERROR, message, keys)

    def _log(self, level: int, message: str, keys: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            keys = {**self._keys, **keys}
            text = " ".join(f"{key}={value}" for key, value in keys.items())
            self._logger.log(level, "%s %s", message, text, extra={"healthprobe": keys})


class SafeLogger:
    """A logger that never raises, with `keys` on every line: a full disk must not silence an alarm."""

    def __init__(self, logger: Logger | None, **keys: str) -> None:
        logger = logger or default_logger()
        self._logger: Any = StdlibLogger(logger, **keys) if isinstance(logger, logging.Logger) else logger.bind(**keys)

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

    def warn(self, cause: str, **keys: object) -> None:
        """Counts an occurrence, and logs it with `keys` if the last line is a minute old."""
        self._occurrences += 1
        now = self._monotonic()
        if now >= self._silent_until:
            self._silent_until = now + _PERIOD
            occurrences, self._occurrences = self._occurrences, 0
            self._logger.warning(self._message, err=cause, times=occurrences, **keys)

    def warn_of(self, error: BaseException) -> None:
        """The same for an exception."""
        self.warn(f"{type(error).__name__}: {error}")
