"""Configures structlog: readable lines on a terminal, JSON lines otherwise, on standard error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, Literal, TextIO, cast, get_args

import structlog

LogLevel = Literal["debug", "info", "warning", "error"]
LOG_LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)

_SILENCED_LIBRARIES = ("opentelemetry", "psycopg", "sqlalchemy", "uvicorn")
"""Libraries whose own lines on standard error would repeat ours."""


class _LossyFile:
    """A text file that drops what cannot be written, so that a failing log line never ends the run."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # ValueError if the file is closed
            self._file.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._file.flush()


def configure_logs(level: LogLevel) -> structlog.typing.FilteringBoundLogger:
    """Sends log lines of `level` and above to standard error and returns the logger to bind from.

    Lines have the reference's keys: time, level, msg, and what the caller bound. A line that cannot be written, on a
    full disk or to a closed pipe, is lost without an error.
    """
    for library in _SILENCED_LIBRARIES:
        logging.getLogger(library).addHandler(logging.NullHandler())
    structlog.configure(
        processors=_terminal_processors() if sys.stderr.isatty() else _json_processors(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _LossyFile(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


def _has_colours() -> bool:
    """Whether a terminal gets colours: not if NO_COLOR is set (no-color.org) or the terminal is dumb."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _terminal_processors() -> list[structlog.typing.Processor]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        structlog.dev.ConsoleRenderer(
            colors=_has_colours(),
            pad_event_to=0,
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]


def _json_processors() -> list[structlog.typing.Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        _ordered,
        structlog.processors.JSONRenderer(),
    ]


def _ordered(_: object, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Puts time, level and msg first, as the reference's log library does."""
    return {"time": line.pop("time"), "level": method.upper(), "msg": line.pop("event"), **line}
