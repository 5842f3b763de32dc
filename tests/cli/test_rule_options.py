"""Options with shares, counts and flap rules are parsed, or refused with what to write instead."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.app.settings import Settings
from healthprobe.cli.options import parse_count, parse_flap, parse_share
from healthprobe.domain.policy import FlapRule, Policy


@pytest.mark.parametrize(("text", "share"), [("50%", 0.5), ("12.5%", 0.125), ("99.9%", 0.999), ("0.1%", 0.001)])
def test_a_share_is_written_in_percent(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["50", "0.5", "0%", "100%", "101%", "-5%", "half", "%", "5 0%", "\u0665\u0660%"])
def test_an_invalid_share_is_refused_with_a_valid_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 50%"):
        parse_share(text)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("6", "such as 6/1h"),
        ("six/1h", "such as 6/1h"),
        ("/1h", "such as 6/1h"),
        ("2/1h", "two transitions are one incident"),
        ("6/1", "has no unit"),
        ("6/", "is not a duration"),
        ("6/-1h", "is negative"),
    ],
)
def test_an_invalid_flap_rule_is_refused(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        parse_flap(text)


def test_a_flap_rule_is_a_count_and_a_duration() -> None:
    assert parse_flap("6/1h30m") == FlapRule(6, 5400.0)
    assert parse_flap(FlapRule(6, 5400.0)) == FlapRule(6, 5400.0)


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "", "\u0662"])
def test_a_count_is_a_whole_number_above_zero(text: str) -> None:
    with pytest.raises(ValueError, match="such as 3"):
        parse_count(text)


def test_the_rule_of_a_run_is_written_as_its_options() -> None:
    assert Settings().rule == (
        "--records sqlite:healthprobe.db --interval 5s --timeout 2s --failures 3 --publish stdout:"
    )
    policy = Policy(successes=2, confirm=0.25, grace=30.0, flap=FlapRule(6, 3600.0), hold=0.125)
    assert Settings(policy=policy, failures=1, identity_header="X-Game-ID").rule == (
        "--records sqlite:healthprobe.db --interval 5s --timeout 2s --failures 1 --successes 2 --confirm 250ms "
        "--grace 30s --flap 6/1h --hold 12.5% --identity-header X-Game-ID --publish stdout:"
    )


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_count, parse_share, parse_flap):
        with suppress(ValueError):
            parse(text)
