"""The cable is pulled and put back, for real: with a canary behind the same link nobody hears of it."""

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
        pytest.skip("this machine lets nobody have network namespaces of their own")
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("end", ["far", "near"])
def test_a_cable_that_is_pulled_is_nobody_s_failure_and_what_fails_then_is_told(size: list[str], end: str) -> None:
    found = pulled(*size, f"--end={end}")
    assert found["events"] == 0
    assert found["inconclusive"] > found["engines"]
    assert found["messages"] == [BLIND, SEES]
    assert found["failed_then"] == "game-0"


def test_without_a_canary_the_same_cable_is_everybody_s_failure(size: list[str]) -> None:
    found = pulled(*size, "--without-canary")
    assert found["events"] >= found["engines"]
