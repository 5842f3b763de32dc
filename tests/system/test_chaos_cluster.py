"""Proof by fault for a cluster in its short form: each fault once, done to instances and NATS nodes of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from chaos.cluster.faults import FAULTS, WITHOUT_A_FENCE
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CHAOS = (sys.executable, "-m", "chaos.cluster", "--short")

TIMES, EXPECTED, IN_LOG, LOST, TWICE, OUT_OF_ORDER, HOLDS = 1, 2, 3, 4, 5, 6, 10
"""Columns of the table."""

TO_NODES = ("kill-leader", "pause-leader", WITHOUT_A_FENCE.name)
TO_INSTANCES = tuple(fault.name for fault in FAULTS if fault.name not in TO_NODES)


def only(names: Sequence[str]) -> list[str]:
    return [*CHAOS, *(part for name in names for part in ("--only", name))]


@contextmanager
def begun(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Running until the context ends, and nothing of it after that."""
    proof = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield proof
    finally:
        proof.kill()
        proof.communicate()


def table_in(printed: str) -> list[list[str]]:
    _, _, *rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("|")]
    return rows


@pytest.mark.timeout(300)
def test_the_log_equals_the_oracle_whatever_is_done_to_a_cluster_and_without_its_fence_it_does_not() -> None:
    """Two clusters at a time, for they mostly wait: for a lease to expire or a leader to be elected."""
    with ExitStack() as stack:
        proofs = [stack.enter_context(begun(only(names))) for names in (TO_INSTANCES, TO_NODES)]
        outputs = [proof.communicate() for proof in proofs]
    for proof, (printed, errors) in zip(proofs, outputs, strict=True):
        assert proof.returncode == 0, errors + printed
    rows = [row for printed, _ in outputs for row in table_in(printed) if row[0] != "all"]
    assert len(rows) == len(FAULTS) + 1
    *fenced, unfenced = rows
    for row in fenced:
        assert (row[LOST], row[TWICE], row[OUT_OF_ORDER], row[HOLDS]) == ("0", "0", "0", "yes")
        assert int(row[TIMES]) > 0
        assert int(row[EXPECTED].replace(",", "")) == int(row[IN_LOG].replace(",", "")) > 0, "nothing was proven"
    assert int(unfenced[OUT_OF_ORDER]) > 0
    assert unfenced[HOLDS] == "no, as it must be"


def test_an_interrupted_proof_leaves_nothing_running() -> None:
    with begun(only(["pause", "cut", "join"])) as proof:
        assert proof.stderr is not None
        while not proof.stderr.readline().startswith("pause:"):
            assert proof.poll() is None
        started = psutil.Process(proof.pid).children(recursive=True)
        assert {"redis-server", "nats-server"} <= {process.name() for process in started}
        proof.send_signal(signal.SIGTERM)
        printed, errors = proof.communicate(timeout=PATIENCE)
    assert proof.returncode == 130, errors
    assert printed == ""
    _, alive = psutil.wait_procs(started, timeout=PATIENCE)
    assert alive == []
