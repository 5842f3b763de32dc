"""Fuzzing in its short form, and that the fuzzer finds every kind of fault: each is planted once."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fuzz.campaign import GROWTH_BOUND, Result, campaign, portions
from fuzz.literal import given_by, literal_of
from fuzz.mutation import LONGEST, Mutator, as_text
from fuzz.report import report
from fuzz.rows import Harmed
from fuzz.target import Target, mutated, texts
from fuzz.targets import TARGETS, rows
from fuzz.values import Values
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.adapters.sql import SqlLog, SqlRecords
from healthprobe.domain.outcome import HEALTHY
from healthprobe.domain.record import RuntimeRecord
from healthprobe.testing.prober import ScriptedProber

ROOT = Path(__file__).parents[2]
INPUTS = 20_000
SEEDS = (b"game-7", b'{"a": [1, 2]}')


@pytest.fixture(autouse=True, scope="module")
def _the_tests_are_nothing_to_look_through() -> Iterator[None]:
    """A campaign collects garbage three times a target: without this it goes through all of pytest each time."""
    gc.freeze()
    yield
    gc.unfreeze()


def fuzzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fuzz", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def target(feed: Callable[[Any], object], *refusals: type[Exception]) -> Target:
    return Target("planted", mutated(SEEDS), feed, refusals)


def found(feed: Callable[[Any], object], inputs: int = 500, patience: float = 0.1) -> Result:
    (result,) = campaign([target(feed, ValueError)], inputs, 1, lambda _: None, patience=patience)
    return result


@pytest.mark.slow
def test_twenty_thousand_broken_inputs_are_refused_as_every_parser_promises() -> None:
    fuzzing = fuzzed("--short")
    assert fuzzing.returncode == 0, fuzzing.stdout + fuzzing.stderr
    rows = [line.strip("| ").split(" | ") for line in fuzzing.stdout.splitlines() if line.startswith("|")][2:]
    assert [row[0] for row in rows] == [*(each.name for each in TARGETS), "all"]
    assert sum(int(row[1].replace(",", "")) for row in rows[:-1]) == INPUTS
    assert f"20,000 inputs, seed {fuzzing.stdout.partition('seed ')[2].partition('.')[0]}" in fuzzing.stderr


def test_a_run_with_the_same_seed_draws_the_same_inputs_and_another_seed_others() -> None:
    def drawn(seed: int) -> list[list[str]]:
        return [[literal_of(draw()) for _ in range(20)] for draw in (each.source(Random(seed)) for each in TARGETS)]

    assert drawn(1) == drawn(1)
    assert all(one != other for one, other in zip(drawn(1), drawn(2), strict=True))


@pytest.mark.parametrize(
    ("each", "inputs"),
    [(each, 400) for each in TARGETS if each not in rows.TARGETS]
    + [pytest.param(each, 60, marks=pytest.mark.slow) for each in rows.TARGETS],
    ids=lambda each: each.name if isinstance(each, Target) else "",
)
def test_every_target_takes_some_inputs_and_what_can_refuse_refuses_some(each: Target, inputs: int) -> None:
    (result,) = campaign([each], inputs, 3, lambda _: None)
    assert result.finding is None
    assert result.refused < result.inputs
    if each.refusals:
        assert result.refused > 0


def test_an_error_that_is_not_documented_is_found_with_the_input_that_raised_it() -> None:
    def feed(data: bytes) -> None:
        if b"\0" in data:
            raise KeyError("planted")

    result = found(feed)
    assert result.finding is not None
    assert result.finding.fault == "raised KeyError: 'planted'"
    with pytest.raises(KeyError):
        feed(given_by(result.finding.literal))
    assert f"FOUND in planted, input {result.inputs:,}: raised KeyError" in report([result], 1)
    assert result.finding.literal in report([result], 1)


@pytest.mark.parametrize("error", [RecursionError, MemoryError, AssertionError, SystemExit])
def test_no_kind_of_exception_passes(error: type[BaseException]) -> None:
    def feed(_: bytes) -> None:
        raise error

    assert (finding := found(feed).finding) is not None
    assert error.__name__ in finding.fault


def test_a_documented_error_is_a_refusal_and_no_finding() -> None:
    def feed(_: bytes) -> None:
        raise ValueError

    assert (found(feed).refused, found(feed).finding) == (500, None)


def test_an_input_that_hangs_is_found_even_where_the_parser_swallows_every_exception() -> None:
    def feed(data: bytes) -> None:
        while b"\0" in data:
            try:
                sum(range(1_000))
            except Exception:  # noqa: BLE001  as a careless parser does
                continue

    assert (finding := found(feed).finding) is not None
    assert finding.fault == "took longer than 0.1s"
    assert b"\0" in given_by(finding.literal)


def test_an_input_that_waits_for_ever_is_found() -> None:
    def feed(data: bytes) -> None:
        time.sleep(3600 if b"\0" in data else 0)

    assert (finding := found(feed).finding) is not None
    assert finding.fault == "took longer than 0.1s"


def test_memory_that_is_never_given_back_is_found() -> None:
    kept: list[bytearray] = []
    result = found(lambda _: kept.append(bytearray(GROWTH_BOUND // 100)))
    assert result.finding is not None
    assert result.finding.fault.startswith("grew by ")
    assert result.growth > GROWTH_BOUND


def test_memory_that_is_given_back_is_no_growth() -> None:
    assert found(lambda _: bytearray(GROWTH_BOUND // 100)).finding is None


@pytest.mark.slow
def test_a_fault_planted_in_the_program_is_found_and_reported_with_exit_code_1(tmp_path: Path) -> None:
    script = tmp_path / "planted.py"
    script.write_text(
        "from healthprobe.probing.answers import response\n"
        "response._PARSER_ERRORS = ()\n"
        "from fuzz.__main__ import main\n"
        "main()\n"
    )
    command = [sys.executable, str(script), "--short", "--only", "response heads", "--seed", "7"]
    fuzzing = subprocess.run(
        [*command, "--write-input", str(tmp_path / "input")],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert fuzzing.returncode == 1, fuzzing.stderr
    assert "FOUND in response heads" in fuzzing.stdout
    assert "HttpParser" in fuzzing.stdout
    assert isinstance(given_by((tmp_path / "input").read_text()), tuple)


def no_fifth_game(listed: list[RuntimeRecord]) -> list[RuntimeRecord]:
    return [record for record in listed if record.game_id != "game-5"]


@pytest.mark.parametrize(
    ("owner", "method", "spoil", "words"),
    [
        (SqlRecords, "list_by_status", no_fifth_game, "game-5"),
        (SqlRecords, "list_all", no_fifth_game, "game-5 is listed as None"),
        (SqlLog, "read", lambda entries: [entry for entry in entries if entry.event.id != "game-1:2"], "game-1"),
        (SqlLog, "last_events", lambda events: {**events, "game-4": events.get("game-2")}, "the last event of game-2"),
        (SqlLog, "load_cursor", lambda _: 0, "the bus got"),
        (SqlLog, "dead_letters", lambda _: [], "the dead letters did not arrive"),
        (ScriptedProber, "probe", lambda _: HEALTHY, "the log has"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_harm_to_another_game_than_the_altered_one_is_found(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str, spoil: Callable[[Any], Any], words: str
) -> None:
    sqlite = rows.SqliteRows()
    harmless = ("runtime_records", "game_id = 'altered'", "silenced_why", "x", False, False, False)
    with sqlite.entered():
        sqlite.feed(harmless)
        at_work = getattr(owner, method)

        async def spoilt(*arguments: Any, **others: Any) -> Any:
            return spoil(await at_work(*arguments, **others))

        monkeypatch.setattr(owner, method, spoilt)
        with pytest.raises(Harmed, match=words):
            sqlite.feed(harmless)


def test_the_inputs_are_all_given_out_whatever_the_shares() -> None:
    targets = [Target(str(share), mutated(SEEDS), len, share=share) for share in (1, 3, 7)]
    for total in (0, 1, 10, 11, 1_000):
        assert sum(portions(targets, total)) == total
    assert portions(targets, 11) == [1, 3, 7]


def test_mutations_are_of_every_kind_and_none_is_longer_than_it_may_be() -> None:
    draw = Mutator(Random(1), SEEDS, (b"token",)).draw
    drawn = [draw() for _ in range(5_000)]
    assert max(map(len, drawn)) in range(LONGEST - 100, LONGEST + 1)
    assert set(SEEDS) < set(drawn)
    assert b"" in drawn
    assert any(b"token" in data for data in drawn)
    assert any(b"[" * 100 in data for data in drawn)
    assert any(data != seed and len(data) == len(seed) for data in drawn for seed in SEEDS)
    assert len(set(drawn)) > 3_000


def test_texts_hold_lone_surrogates_and_values_are_of_every_kind() -> None:
    draw = texts(("ü",))(Random(1))
    assert any("\udc80" <= letter <= "\udcff" for _ in range(200) for letter in draw())
    values = Values(Random(1), Mutator(Random(2), SEEDS))
    kinds = {type(values.draw()) for _ in range(3_000)}
    assert {str, bytes, int, float, bool, list, dict, type(None)} < kinds
    assert {type(values.draw_cell()) for _ in range(3_000)} <= {str, bytes, int, float, bool, type(None)}


@given(
    st.one_of(
        st.binary(), st.text(), st.floats(allow_nan=False), st.lists(st.datetimes()), st.decimals(allow_nan=False)
    )
)
def test_a_literal_gives_its_input_again(given_input: object) -> None:
    assert given_by(literal_of(given_input)) == given_input


@pytest.mark.parametrize("given_input", [b"[" * LONGEST, "\udcff" * LONGEST, (b"a" * 9_000, b"b")])
def test_a_literal_of_a_long_input_is_short_and_gives_it_again(given_input: object) -> None:
    assert len(literal_of(given_input)) < 4_000
    assert given_by(literal_of(given_input)) == given_input


@given(st.binary())
def test_every_input_can_be_text(data: bytes) -> None:
    assert as_text(data).encode("utf-8", "surrogateescape") == data


def test_a_target_that_is_not_known_is_refused() -> None:
    refused = fuzzed("--only", "tea leaves")
    assert refused.returncode == 2
    assert "redirects" in refused.stderr
