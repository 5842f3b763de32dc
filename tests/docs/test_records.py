"""What the page of records shows can be read, and names every setting there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from healthprobe.adapters.file import parse_records
from healthprobe.domain.probe_parsing import parse_settings
from healthprobe.domain.probe_settings import ProbeKind, ProbeSettings
from healthprobe.domain.record import RuntimeRecord

PAGE = (Path(__file__).parents[2] / "docs" / "records.md").read_text()


def shown() -> dict[str, ProbeSettings]:
    [text] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    return {record.game_id: parse_settings(record.probe) for record in parse_records(text, "engines.yaml")}


def test_the_example_names_every_setting_and_can_be_read() -> None:
    said = shown()
    http = said["chess-1"]
    named = {field.name for field in fields(ProbeSettings) if getattr(http, field.name) != field.default}
    assert named | {"kind", "method", "send", "service"} == {field.name for field in fields(ProbeSettings)}
    assert (said["go-1"].kind, said["go-1"].send) == (ProbeKind.TCP, "PING\r\n")
    assert (said["shogi-1"].kind, said["shogi-1"].service) == (ProbeKind.GRPC, "shogi.Engine")


def test_the_table_names_every_field_of_a_record() -> None:
    assert re.findall(r"^\| `(\w+)`", PAGE, re.MULTILINE) == [field.name for field in fields(RuntimeRecord)]
