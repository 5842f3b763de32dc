"""The simulation of a large fleet, made small: it runs the program as it is now, and what it tells adds up."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SMALL = ("--games", "3000", "--instances", "2", "--interval", "2.5")


def test_a_simulated_fleet_is_shared_and_taken_over_and_its_log_is_exactly_what_it_must_be() -> None:
    command = [sys.executable, "-m", "benchmarks", "simulation", *SMALL]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    told = dict(re.findall(r"^\| (.+?) \| (.+) \|$", done.stdout, re.MULTILINE))
    assert sum(int(games.replace(",", "")) for games in told["games an instance"].split(" / ")) == 3_000
    assert int(told["one instance killed: its games"].replace(",", "")) > 1_000
    assert told["events expected, in the log"] == "6, 6"
    assert told["games whose events are not exactly those"] == "0"
