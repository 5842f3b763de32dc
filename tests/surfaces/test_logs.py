"""The log: what libraries have to say of a database that is away, we say."""

from __future__ import annotations

import logging

import pytest

from healthprobe.surfaces.logs import configure_logs


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
