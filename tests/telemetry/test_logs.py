"""Log lines: only ours are written, and one that cannot be written ends nothing."""

from __future__ import annotations

import io
import logging
import os
import sys

import pytest
import structlog

from healthprobe.telemetry.logs import configure_logs


@pytest.mark.parametrize("library", ["psycopg", "psycopg.pool", "sqlalchemy.pool.impl.QueuePool"])
def test_libraries_do_not_write_to_standard_error(library: str, capfd: pytest.CaptureFixture[str]) -> None:
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


def test_a_line_that_cannot_be_written_is_lost_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True))
        logger = configure_logs("info")
        logger.error("lost")
        sys.stderr.close()
        logger.error("lost, too")
    structlog.reset_defaults()
