"""Logs: structlog to standard error, for people on a terminal and as JSON lines for everything else."""

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

_SPEAKS_FOR_ITSELF = ("opentelemetry", "psycopg", "sqlalchemy", "uvicorn")
"""Libraries that would write their own lines to standard error about what we tell in ours."""


class _Sink:
    """A file whose lines can be spared: what cannot be written must not end the watch over a fleet."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # the latter where it is closed
            self._file.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._file.flush()


def configure_logs(level: LogLevel) -> structlog.typing.FilteringBoundLogger:
    """Send every log line of `level` and above to standard error, and return the logger to bind from.

    Lines carry the reference's keys: time, level, msg, and what the caller bound. A line that cannot be written, on a
    full disk or to a reader that is gone, is lost, and nothing else is.
    """
    for library in _SPEAKS_FOR_ITSELF:
        logging.getLogger(library).addHandler(logging.NullHandler())
    structlog.configure(
        processors=_for_people() if sys.stderr.isatty() else _for_machines(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Sink(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


def colours_wanted() -> bool:
    """Whether a terminal is to be coloured: not where NO_COLOR is set (no-color.org), nor where it cannot."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _for_people() -> list[structlog.typing.Processor]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        structlog.dev.ConsoleRenderer(
            colors=colours_wanted(),
            pad_event_to=0,
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]


def _for_machines() -> list[structlog.typing.Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        _in_order,
        structlog.processors.JSONRenderer(),
    ]


def _in_order(_: object, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What the reference's log library writes first, as it writes it, and then what the caller bound."""
    return {"time": line.pop("time"), "level": method.upper(), "msg": line.pop("event"), **line}
