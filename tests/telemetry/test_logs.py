"""The log: what libraries have to say of a database that is away, we say."""

from __future__ import annotations

import io
import logging
import os
import sys

import pytest
import structlog

from healthprobe.telemetry.logs import configure_logs


@pytest.mark.parametrize("library", ["psycopg", "psycopg.pool", "sqlalchemy.pool.impl.QueuePool"])
def test_no_library_writes_between_our_lines(library: str, capfd: pytest.CaptureFixture[str]) -> None:
    logger = configure_logs("info")
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []  # pytest's own: a program has none
    try:
        logging.getLogger(library).error("error ignored terminating the pipeline")
    finally:
        root.handlers = handlers
    assert capfd.readouterr().err == ""
    logger.info("ours")
    assert "ours" in capfd.readouterr().err


def test_a_line_that_cannot_be_written_is_lost_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True))
        logger = configure_logs("info")
        logger.error("nobody reads this")
        sys.stderr.close()
        logger.error("nor this")
    structlog.reset_defaults()
