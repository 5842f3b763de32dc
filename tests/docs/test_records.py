"""The examples of docs/records.md can be parsed, and show every setting."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from healthprobe.adapters.file import parse_records
from healthprobe.domain.probe.probe_parsing import parse_settings
from healthprobe.domain.probe.probe_settings import ProbeKind, ProbeSettings
from healthprobe.domain.record import RuntimeRecord

PAGE = (Path(__file__).parents[2] / "docs" / "records.md").read_text()


MERGED, EVERY_SETTING = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def settings_in(text: str) -> dict[str, ProbeSettings]:
    return {record.game_id: parse_settings(record.probe) for record in parse_records(text, "engines.yaml")}


def test_the_long_example_can_be_parsed_and_has_every_setting() -> None:
    settings = settings_in(EVERY_SETTING)
    http = settings["chess-1"]
    named = {field.name for field in fields(ProbeSettings) if getattr(http, field.name) != field.default}
    assert named | {"kind", "method", "send", "service"} == {field.name for field in fields(ProbeSettings)}
    assert (settings["go-1"].kind, settings["go-1"].send) == (ProbeKind.TCP, "PING\r\n")
    assert (settings["shogi-1"].kind, settings["shogi-1"].service) == (ProbeKind.GRPC, "shogi.Engine")


def test_the_merged_example_gives_both_games_the_same_settings() -> None:
    settings = settings_in(MERGED)
    assert list(settings) == ["chess-1", "chess-2"]
    assert settings["chess-1"] == settings["chess-2"]


def test_the_table_has_every_field_of_a_record() -> None:
    assert re.findall(r"^\| `(\w+)`", PAGE, re.MULTILINE) == [field.name for field in fields(RuntimeRecord)]
