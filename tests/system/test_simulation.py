"""The simulation of a large fleet, made small: it runs the present program, and its figures add up."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SMALL = ("--games", "3000", "--instances", "2", "--interval", "2.5")


def test_a_simulated_fleet_is_shared_and_taken_over_and_its_log_is_exact() -> None:
    command = [sys.executable, "-m", "benchmarks", "simulation", *SMALL]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    table = dict(re.findall(r"^\| (.+?) \| (.+) \|$", done.stdout, re.MULTILINE))
    assert sum(int(games.replace(",", "")) for games in table["games an instance"].split(" / ")) == 3_000
    assert int(table["one instance killed: its games"].replace(",", "")) > 1_000
    assert table["events expected, in the log"] == "6, 6"
    assert table["games whose events are not exactly those"] == "0"
