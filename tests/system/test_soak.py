"""The soak in its short form, and that its verdict finds every kind of leak and no other."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from soak.engines import FAULTS, SLICE, fault_of
from soak.fleet import Fleet
from soak.form import SHORT, Form
from soak.report import judged
from soak.running import Course
from soak.sample import Sample, parsed
from soak.verdict import BOUNDS, FEWEST, Bound, trends
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
SOAK = (sys.executable, "-m", "soak", "--short")
FORM = Form(minutes=20.0, engines=5_000)
BY_NAME = {bound.name: bound for bound in BOUNDS}


def course(**held: Callable[[float], float]) -> Course:
    """Twenty minutes of samples, in which each quantity is steady at 100 unless a function is given."""
    paths: dict[str, Callable[[float], float]] = dict.fromkeys(BY_NAME, lambda _: 100.0)
    paths |= {name.replace("_", " "): way for name, way in held.items()}
    paths |= {"memory (MiB)": held["memory"]} if "memory" in held else {}
    work: dict[str, Callable[[float], float]] = {
        "probes": lambda at: at * 60 * 5_000,
        "events": lambda at: at * 10,
        "dropped ticks": lambda _: 0.0,
    }
    minutes = [step / 12 for step in range(20 * 12 + 1)]
    return Course([Sample(at, {name: way(at) for name, way in {**work, **paths}.items()}) for at in minutes])


def grown(seen: Course, form: Form = FORM) -> list[str]:
    text, holds = judged(seen, form)
    found = [line.removeprefix("FOUND: ") for line in text.splitlines() if line.startswith("FOUND: ")]
    assert holds == (not found)
    return found


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_short_soak_runs_the_whole_program_and_nothing_grows(tmp_path: Path) -> None:
    kept = tmp_path / "samples.jsonl"
    soak = subprocess.run([*SOAK, "--samples", str(kept)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert soak.returncode == 0, soak.stdout + soak.stderr
    assert "nothing grows" in soak.stdout
    rows = [line.strip("| ").split(" | ")[0] for line in soak.stdout.splitlines() if line.startswith("|")][2:]
    assert rows == list(BY_NAME)
    samples = [json.loads(line) for line in kept.read_text().splitlines()]
    assert len(samples) > 20
    assert samples[-1]["games"] == SHORT.engines
    assert samples[-1]["connections"] > SHORT.engines * 0.8
    assert samples[-1]["descriptors"] > samples[-1]["connections"]


@pytest.mark.slow
def test_an_interrupted_soak_leaves_nothing_running() -> None:
    soak = subprocess.Popen(SOAK, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert soak.stderr is not None
        assert soak.stderr.readline().startswith("minute 0: ")
        started = psutil.Process(soak.pid).children(recursive=True)
        assert len(started) == 2
        soak.send_signal(signal.SIGTERM)
        printed, errors = soak.communicate(timeout=PATIENCE)
    finally:
        soak.kill()
        soak.communicate()
    assert (soak.returncode, printed) == (130, ""), errors
    _, alive = psutil.wait_procs(started, timeout=PATIENCE)
    assert alive == []


def test_a_soak_that_is_shorter_than_what_it_lets_settle_is_refused() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "soak", "--minutes", "1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "let it run for longer than 1" in refused.stderr


def test_what_is_steady_or_shrinks_does_not_grow() -> None:
    assert grown(course()) == []
    assert grown(course(memory=lambda at: 100 - at, descriptors=lambda at: 5_000 - 10 * at)) == []


@pytest.mark.parametrize("name", BY_NAME)
def test_a_leak_of_any_quantity_is_found_and_named(name: str) -> None:
    bound = BY_NAME[name]
    key = "memory" if name == "memory (MiB)" else name
    assert grown(course(**{key: lambda at: 100 + 1.1 * bound.per_minute * at})) == [f"{name} grows"]


def test_a_leak_in_noise_is_found_and_noise_without_a_leak_is_none() -> None:
    def noisy(per_minute: float) -> Callable[[float], float]:
        random = Random(1)
        return lambda at: 5_000 + random.gauss(0, 40) + per_minute * at

    assert grown(course(descriptors=noisy(0.0))) == []
    assert grown(course(descriptors=noisy(30.0))) == ["descriptors grows"]


def test_a_slow_leak_whose_line_is_flat_enough_is_found_by_its_quarters() -> None:
    assert grown(course(memory=lambda at: 50 + 0.5 * at)) == ["memory (MiB) grows"]


def test_a_late_jump_is_found_though_most_of_the_time_is_flat() -> None:
    assert grown(course(memory=lambda at: 100 if at < 18 else 130)) == ["memory (MiB) grows"]


def test_what_comes_before_it_has_settled_does_not_count() -> None:
    assert grown(course(memory=lambda at: min(20 + 60 * at, 100))) == []
    assert grown(course(memory=lambda at: min(20 + 60 * at, 100)), replace(FORM, settled=0.0)) == ["memory (MiB) grows"]


@given(st.floats(1, 1e6), st.floats(0.01, 1e3))
def test_a_straight_line_grows_if_and_only_if_it_is_steeper_than_it_may_be(base: float, slope: float) -> None:
    samples = [Sample(step / 10, {"x": base + slope * step / 10}) for step in range(100)]
    (steeper,) = trends(samples, 0.0, [Bound("x", slope * 0.99, 0.0, 1e9)])
    (flatter,) = trends(samples, 0.0, [Bound("x", slope * 1.01, 0.0, 1e9)])
    assert (steeper.grows, flatter.grows) == (True, False)


def test_a_program_that_did_nothing_or_ended_early_does_not_hold() -> None:
    idle = course(probes=lambda at: at, events=lambda _: 0.0)
    assert len(grown(idle)) == 2
    text, holds = judged(Course(idle.samples, fault="ended with 1: out of memory"), FORM)
    assert (text, holds) == ("it did not run to its end: ended with 1: out of memory", False)


def test_too_few_samples_prove_nothing() -> None:
    few = [Sample(float(minute), dict.fromkeys(BY_NAME, 1.0)) for minute in range(FEWEST - 1)]
    text, holds = judged(Course(few), replace(FORM, settled=0.0))
    assert not holds
    assert "let it run for longer" in text


def test_the_fleet_keeps_its_size_and_its_oldest_games_go_first(tmp_path: Path) -> None:
    path = tmp_path / "games.json"
    fleet = Fleet(path, port=8080, closed=8081, size=1_000, seed=1)
    before = json.loads(path.read_text())
    for _ in range(20):
        fleet.replace(0.01 / 20)
    after = json.loads(path.read_text())
    assert (fleet.replaced, len(fleet), len(after)) == (10, 1_000, 1_000)
    assert after[:-10] == before[10:]
    endpoints = {game["engine_endpoint"] for game in before + after}
    assert len(endpoints) == 1_010
    assert 0 < sum(endpoint.endswith(":8081") for endpoint in endpoints) < 40


def test_engines_have_every_fault_in_the_share_that_was_asked_for_and_keep_it_for_a_slice() -> None:
    addresses = [f"127.1.{third}.{fourth}" for third in range(100) for fourth in range(100)]
    faults = [fault_of(address, 0.0, 0.06, 1) for address in addresses]
    assert set(faults) == {"", *FAULTS}
    assert 400 < sum(map(bool, faults)) < 800
    assert faults == [fault_of(address, SLICE - 0.01, 0.06, 1) for address in addresses]
    following = [fault_of(address, SLICE, 0.06, 1) for address in addresses]
    assert sum(bool(one and other) for one, other in zip(faults, following, strict=True)) < 100
    assert faults != [fault_of(address, 0.0, 0.06, 2) for address in addresses]


def test_the_series_of_a_metric_are_added_up() -> None:
    metrics = parsed(
        "# TYPE healthprobe_games gauge\n"
        'healthprobe_games{state="down"} 2\nhealthprobe_games{state="healthy"} 40\n'
        "# TYPE healthprobe_probes counter\n"
        'healthprobe_probes_total{outcome="healthy"} 7\n'
        "# TYPE other gauge\nother 1\n"
    )
    assert (metrics["games"], metrics["probes"], metrics["connections"]) == (42.0, 7.0, 0.0)
