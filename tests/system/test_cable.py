"""A network link goes down and comes back: with a canary behind the same link there is no event."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from chaos import cable
from tests.support.program import clean_environment

pytestmark = pytest.mark.slow

BLIND, SEES = "the prober is blind", "the prober sees again"


@pytest.fixture
def size(full: bool) -> list[str]:  # noqa: FBT001  the fixture's
    return ["--engines=2000", "--seconds=180"] if full else ["--engines=80", "--seconds=3", "--interval=400"]


def pulled(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "chaos.cable", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=400, env=clean_environment({}))
    if done.returncode == cable.CANNOT:
        pytest.skip("this machine does not allow network namespaces")
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("end", ["far", "near"])
def test_a_cut_link_makes_no_event_and_a_failure_after_it_makes_one(size: list[str], end: str) -> None:
    found = pulled(*size, f"--end={end}")
    assert found["events"] == 0
    assert found["inconclusive"] > found["engines"]
    assert found["messages"] == [BLIND, SEES]
    assert found["failed_then"] == "game-0"


def test_without_a_canary_a_cut_link_fails_every_engine(size: list[str]) -> None:
    found = pulled(*size, "--without-canary")
    assert found["events"] >= found["engines"]
