"""Proof by fault in its short form: every fault once, with the whole program and real servers."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from chaos.faults import NAMES
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CHAOS = (sys.executable, "-m", "chaos", "--short")

LOST, DUPLICATED, TIMES, OPEN, HOLDS = 6, 7, 9, 11, 13
"""Columns of the table."""


@pytest.mark.timeout(600)
def test_the_log_equals_the_oracle_and_every_consumer_the_log_whatever_is_done_to_the_program() -> None:
    proof = subprocess.run(CHAOS, cwd=ROOT, capture_output=True, text=True, check=False)
    assert proof.returncode == 0, proof.stderr + proof.stdout
    _, _, *rows, totals = [line.strip("| ").split(" | ") for line in proof.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == len(NAMES)
    for row in rows:
        if row[HOLDS] != "not run here":
            assert (row[LOST], row[DUPLICATED], row[HOLDS]) == ("0", "0", "yes")
            assert int(row[2]) == int(row[3]) > 0, "nothing was proven"
            assert int(row[TIMES]) > 0, "there was no fault"
    assert any(int(row[OPEN]) > 0 for row in rows if row[HOLDS] == "yes"), "no alert fired when it was judged"
    assert totals[HOLDS] == "yes"


def test_an_interrupted_proof_leaves_nothing_running() -> None:
    proof = subprocess.Popen(
        [*CHAOS, "--only", "kill-redis"], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert proof.stderr is not None
        while not proof.stderr.readline().startswith("kill-redis:"):
            assert proof.poll() is None
        started = psutil.Process(proof.pid).children(recursive=True)
        assert {"redis-server", "postgres"} <= {process.name() for process in started}
        proof.send_signal(signal.SIGTERM)
        printed, errors = proof.communicate(timeout=PATIENCE)
    finally:
        proof.kill()
        proof.communicate()
    assert proof.returncode == 130, errors
    assert printed == ""
    _, alive = psutil.wait_procs(started, timeout=PATIENCE)
    assert alive == []


def test_a_fault_that_is_not_known_is_refused() -> None:
    refused = subprocess.run([*CHAOS, "--only", "earthquake"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "kill-redis" in refused.stderr
