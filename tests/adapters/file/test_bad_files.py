"""Invalid files and their messages: each fixture in bad_files/."""

import json
from pathlib import Path

import pytest

from healthprobe.adapters.file import FileRecords, parse_records
from healthprobe.ports import ConfigurationError

BAD_FILES = Path(__file__).parent / "bad_files"

MESSAGES = dict(line.split(":", 1) for line in (BAD_FILES / "messages.txt").read_text().splitlines())
"""By file name, the part of the message after it: line, field and problem."""


@pytest.mark.parametrize("name", MESSAGES)
async def test_a_bad_file_is_refused_with_line_and_field(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD_FILES)
    with pytest.raises(ConfigurationError) as refused:
        await FileRecords.open(name)
    assert str(refused.value) == f"{name}:{MESSAGES[name]}"


def test_every_bad_file_has_its_message() -> None:
    assert sorted([*MESSAGES, "messages.txt"]) == sorted(path.name for path in BAD_FILES.iterdir())


@pytest.mark.proves("yaml-nested")
@pytest.mark.parametrize("opening", ["[", "- ", "{a: "])
def test_nesting_of_any_depth_is_refused_and_never_ends_the_process(opening: str) -> None:
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        parse_records(opening * 100_000, "deep.yaml")


@pytest.mark.proves("yaml-bomb")
def test_aliases_that_stand_for_too_much_are_refused_before_they_are_expanded() -> None:
    laughs = ["- &a0 [ha, ha]", *(f"- &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12))]
    with pytest.raises(ConfigurationError, match=r"laughs.yaml:8: its aliases stand for more than 64 MiB: write out"):
        parse_records("\n".join(laughs), "laughs.yaml")


def test_one_long_text_that_is_repeated_is_refused_as_well() -> None:
    long = [f"- &long {'x' * 1_000_000}", *["- *long"] * 100]
    with pytest.raises(ConfigurationError, match=r"long.yaml:69: its aliases stand for more than 64 MiB"):
        parse_records("\n".join(long), "long.yaml")


def test_merge_keys_that_stand_for_too_much_are_refused_as_well() -> None:
    wide = ", ".join(f"key-{number}: 1" for number in range(10_000))
    with pytest.raises(ConfigurationError, match=r"wide.yaml:\d+: its aliases stand for more than 64 MiB"):
        parse_records("\n".join([f"- &wide {{{wide}}}", *["- <<: *wide"] * 10_000]), "wide.yaml")


def test_aliases_that_nest_too_deeply_are_refused() -> None:
    chain = ["- &a0 [ha]", *(f"- &a{i} [*a{i - 1}]" for i in range(1, 20))]
    with pytest.raises(ConfigurationError, match=r"chain.yaml:16: nested too deeply"):
        parse_records("\n".join(chain), "chain.yaml")


def test_text_with_a_lone_surrogate_is_refused_as_not_utf_8() -> None:
    with pytest.raises(ConfigurationError, match=r"stdin:2: not UTF-8 text"):
        parse_records("# one\n- game_id: \udce9", "stdin")


@pytest.mark.parametrize("name", ["x - at `$.b", "x` - at `$.b[0]", "x` - at `$[7]", "a\nb"])
def test_an_unknown_field_whose_name_looks_like_a_path_is_reported_as_unknown(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no such field|expected text"):
        parse_records(json.dumps([{"game_id": "game-7", "engine_endpoint": "http://h", name: 1}]), "games.json")
