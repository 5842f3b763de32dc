"""Settings files that are refused, and their messages: each fixture in bad/."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.program import CommandLine

from healthprobe.app.settings_file.reading import parse_settings_file
from healthprobe.cli.config import options_of_run, sample
from healthprobe.ports import ConfigurationError

BAD = Path(__file__).parent / "bad"

MESSAGES = dict(line.split(":", 1) for line in (BAD / "messages.txt").read_text().splitlines())
"""By file name, the part of the message after it: line, key and problem."""


@pytest.mark.parametrize("name", MESSAGES)
def test_a_bad_file_is_refused_in_one_line_with_its_place(
    command_line: CommandLine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BAD)
    refused = command_line("run", "--config", name, "--records", "sqlite:")  # which no run begins with
    assert refused.code == 2
    assert refused.err == [f"healthprobe: {name}:{MESSAGES[name]}"]


def test_every_bad_file_has_its_message() -> None:
    assert sorted(MESSAGES) == sorted(path.name for path in BAD.glob("*.toml"))


def test_a_file_that_is_not_there_is_named_with_what_prints_one(command_line: CommandLine) -> None:
    refused = command_line("run", "--config", "nowhere.toml")
    assert refused.err == [
        "healthprobe: --config nowhere.toml: no such file or directory; healthprobe config --example prints one"
    ]


def test_a_folder_and_an_endless_file_are_refused(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "long.toml").write_text("#" * 300_000)
    assert command_line("run", "--config", ".").err == ["healthprobe: --config .: is a directory"]
    [message] = command_line("run", "--config", "long.toml").err
    assert message.endswith("long.toml: it is longer than 256 KiB: name a settings file")


@pytest.mark.parametrize("opening", ["a = " + "[" * 100_000, "a = " + "{a=" * 50_000])
def test_nesting_of_any_depth_is_refused_and_never_ends_the_process(
    command_line: CommandLine, tmp_path: Path, opening: str
) -> None:
    (tmp_path / "deep.toml").write_text(opening)
    refused = command_line("run", "--config", "deep.toml", "--records", "sqlite:")
    assert (refused.code, len(refused.err)) == (2, 1)


OPTIONS = options_of_run()
SAMPLE = re.sub(
    r"env:[A-Z_]+|file:/etc[^\"]+", "env:PATH", re.sub(r"^#(?=[a-z\[])", "", sample(OPTIONS), flags=re.MULTILINE)
)
PIECES = st.sampled_from(
    ['"', "'", '"""', "[", "]", "{", "}", "=", ".", ",", "\n", "#", "[[alerts]]\n", "[probe]\n", "\t", "1e9", "\\"]
)
CUT = st.tuples(st.integers(0, len(SAMPLE)), st.integers(0, 40), st.one_of(PIECES, st.text(max_size=5)))


def test_the_sample_that_is_broken_below_is_valid() -> None:
    assert len(parse_settings_file(SAMPLE, "healthprobe.toml", OPTIONS).alerts) == 2


@settings(max_examples=150, deadline=None)
@given(cuts=st.lists(CUT, min_size=1, max_size=4))
def test_a_broken_sample_is_read_or_refused_in_one_line_and_never_ends_the_process(
    cuts: list[tuple[int, int, str]],
) -> None:
    text = SAMPLE
    for start, length, piece in cuts:
        text = text[:start] + piece + text[start + length :]
    try:
        parse_settings_file(text, "healthprobe.toml", OPTIONS)
    except ConfigurationError as error:
        assert re.fullmatch(r"healthprobe\.toml:\d+: .+", str(error)), str(error)  # noqa: PT017
        assert len(str(error)) < 1000  # noqa: PT017


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ConfigurationError):
        parse_settings_file(text, "healthprobe.toml", OPTIONS)


def test_a_secret_never_shows_in_a_message(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_URL", "postgresql://user:hunter2@host:port/games")
    (tmp_path / "healthprobe.toml").write_text('log = "env:LOG_URL"\ntoken = "hunter2"\n')
    refused = command_line("run", "--config", "healthprobe.toml")
    assert "hunter2" not in "".join(refused.err)
    (tmp_path / "healthprobe.toml").write_text('log = "env:LOG_URL"\n')
    refused = command_line("run", "--config", "healthprobe.toml")
    assert refused.code == 2
    assert "hunter2" not in "".join(refused.err)
