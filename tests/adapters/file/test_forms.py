"""The forms of runtime records in a file."""

import json
from datetime import UTC, datetime

import pytest
import yaml

from healthprobe.adapters.file import parse_records
from healthprobe.adapters.file.markup import parse_markup
from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.labels import fault_of
from healthprobe.domain.probe.probe_parsing import parse_settings
from healthprobe.domain.probe.probe_settings import PLAIN
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import parse_target
from healthprobe.ports import ConfigurationError

RECORDS = """
# engines of the night shift
- game_id: game-7
  current_container_id: c0ffee
  engine_endpoint: http://game-7:8080
- {game_id: game-8, engine_endpoint: "https://[::1]:8443/engine", status: stopped}
"""

GROUPS = """
- targets: ["10.0.0.1:8080", "[::1]:8081"]
- targets: ["10.0.0.2:8080"]
  labels:
    game_id: game-7
    container_id: c0ffee
    __scheme__: https
    shelf: 4
- targets: []
- targets: ["10.0.0.3:8080"]
  labels:
"""

AS_RECORDS = [
    RuntimeRecord("game-7", "c0ffee", "http://game-7:8080"),
    RuntimeRecord("game-8", "", "https://[::1]:8443/engine", "stopped"),
]
AS_GROUPS = [
    RuntimeRecord("10.0.0.1:8080", "", "http://10.0.0.1:8080"),
    RuntimeRecord("[::1]:8081", "", "http://[::1]:8081"),
    RuntimeRecord("game-7", "c0ffee", "https://10.0.0.2:8080"),
    RuntimeRecord("10.0.0.3:8080", "", "http://10.0.0.3:8080"),
]


def test_records_have_the_status_running_by_default() -> None:
    assert parse_records(RECORDS, "engines.yaml") == AS_RECORDS


def test_a_file_sd_group_gives_one_record_for_each_target() -> None:
    assert parse_records(GROUPS, "targets.yml") == AS_GROUPS


def test_records_and_groups_may_be_in_one_list() -> None:
    assert parse_records(GROUPS + RECORDS, "both.yaml") == [*AS_GROUPS, *AS_RECORDS]


@pytest.mark.parametrize("name", ["engines.json", "engines.yaml", "engines", "/dev/stdin"])
def test_json_is_recognized_by_its_name_or_its_content(name: str) -> None:
    text = json.dumps(
        [{"game_id": "game-7", "engine_endpoint": "http://h:1", "current_container_id": None}], indent="\t"
    )
    assert parse_records(text, name) == [RuntimeRecord("game-7", "", "http://h:1")]


def test_yaml_in_flow_style_is_not_mistaken_for_json() -> None:
    text = "[{game_id: game-7, engine_endpoint: 'http://h:1'}]"
    assert parse_records(text, "engines") == [RuntimeRecord("game-7", "", "http://h:1")]


@pytest.mark.parametrize("name", ["engines.json", "engines.yaml"])
def test_an_empty_list_has_no_records(name: str) -> None:
    assert parse_records("[]\n", name) == []


@pytest.mark.parametrize(
    ("written", "game_id"),
    [
        ("'7'", "7"),
        ('"yes"', "yes"),
        ("!!str 7", "7"),
        ("2026-11-23", "2026-11-23"),
        ("1.2.3", "1.2.3"),
        ("game-7 # seven", "game-7"),
        ("0x_", "0x_"),
        ("<<", "<<"),
        ("=", "="),
        ("'é 🎮 \"x\"'", 'é 🎮 "x"'),
        (r'"a\nb"', "a\nb"),
        ("|-\n    a\n    b", "a\nb"),
    ],
)
def test_a_game_id_is_kept_as_it_is_written(written: str, game_id: str) -> None:
    text = f"- game_id: {written}\n  engine_endpoint: http://h:1\n"
    assert [record.game_id for record in parse_records(text, "engines.yaml")] == [game_id]


def test_windows_line_breaks_are_accepted() -> None:
    assert parse_records(RECORDS.replace("\n", "\r\n"), "engines.yaml") == AS_RECORDS


def test_a_game_that_is_listed_twice_gives_two_records() -> None:
    assert parse_records(RECORDS + RECORDS, "engines.yaml") == AS_RECORDS * 2


def test_settings_are_a_mapping_and_silence_an_instant_as_yaml_writes_them() -> None:
    [record] = parse_records(
        """
- game_id: game-7
  engine_endpoint: http://h:1
  probe:
    path: /ready
    timeout: 500ms
    expect: {status: [200, 202-204]}
  silenced_until: 2026-11-25 14:00:00+01:00
  silenced_why: new version
""",
        "engines.yaml",
    )
    settings = parse_settings(record.probe)
    assert (settings.path, settings.timeout) == ("/ready", 0.5)
    assert settings.expect.statuses == ((200, 200), (202, 204))
    assert record.silenced_until == datetime(2026, 11, 25, 13, tzinfo=UTC)
    assert record.silenced_why == "new version"


ANCHORS = """
- &base
  game_id: game-1
  engine_endpoint: &endpoint http://h:1
  probe: &probe
    path: &path /ready
    tls: {verify: true}
    headers: {X-Path: *path}
- <<: *base
  game_id: game-2
- <<: [{game_id: game-3}, *base]
  probe:
    <<: *probe
    path: /live
- game_id: game-4
  <<: {engine_endpoint: *endpoint}
- targets: &targets ["h:5", "h:6"]
- targets: *targets
  labels: &labels {__scheme__: https}
- {targets: ["h:7"], labels: {<<: *labels, game_id: game-7}}
"""


def test_anchors_and_merge_keys_stand_for_what_they_repeat() -> None:
    settings = '{"path": "/ready", "tls": {"verify": true}, "headers": {"X-Path": "/ready"}}'
    assert parse_records(ANCHORS, "engines.yaml") == [
        RuntimeRecord("game-1", "", "http://h:1", probe=settings),
        RuntimeRecord("game-2", "", "http://h:1", probe=settings),
        RuntimeRecord(
            "game-3",
            "",
            "http://h:1",
            probe='{"path": "/live", "tls": {"verify": true}, "headers": {"X-Path": "/ready"}}',
        ),
        RuntimeRecord("game-4", "", "http://h:1"),
        RuntimeRecord("h:5", "", "http://h:5"),
        RuntimeRecord("h:6", "", "http://h:6"),
        RuntimeRecord("h:5", "", "https://h:5"),
        RuntimeRecord("h:6", "", "https://h:6"),
        RuntimeRecord("game-7", "", "https://h:7"),
    ]


def test_anchors_mean_the_same_as_to_pyyaml() -> None:
    assert parse_markup(ANCHORS, is_json=False) == yaml.safe_load(ANCHORS)


def test_an_anchor_that_is_set_again_stands_for_the_later_value() -> None:
    assert parse_markup("[&a 1, *a, &a {b: &a 2}, *a, [*a]]", is_json=False) == [1, 1, {"b": 2}, {"b": 2}, [{"b": 2}]]


def test_a_quoted_merge_key_is_a_key() -> None:
    assert parse_markup("- {'<<': 1, a: 2}", is_json=False) == [{"<<": 1, "a": 2}]


def test_a_hundred_thousand_records_may_be_merged_with_one() -> None:
    base = "- &base {game_id: base, engine_endpoint: 'http://h:1', probe: {path: /ready, timeout: 500ms}}\n"
    records = parse_records(base + "".join(f"- {{<<: *base, game_id: g{n}}}\n" for n in range(100_000)), "games.yaml")
    assert len(records) == 100_001
    assert len({record.probe for record in records}) == 1


LABELLED = """
- targets: ["10.0.0.1:8080", "10.0.0.2:8080"]
  labels:
    team: eu
    shelf: 4
    __meta_kubernetes_namespace: games
    __metrics_path__: /ready
    __scheme__: https
    __param_x: "1"
- targets: ["10.0.0.3:8080"]
  labels: {game_id: game-3, container_id: c0ffee, team: us, empty: ""}
"""


def test_the_labels_of_a_group_are_those_of_its_targets_without_prometheus_own() -> None:
    first, second, third = parse_records(LABELLED, "targets.yml")
    assert first.labels is second.labels
    assert first.labels == {"team": "eu"}
    assert fault_of(first.labels) == 'label "shelf": its value is not text: quote it'
    assert (third.game_id, third.current_container_id, third.labels) == ("game-3", "c0ffee", {"team": "us"})


def test_prometheus_path_and_scheme_say_what_is_probed() -> None:
    first, _, third = (parse_target(record, 1.0) for record in parse_records(LABELLED, "targets.yml"))
    assert isinstance(first.endpoint, Endpoint)
    assert (first.endpoint.scheme, first.settings.path) == ("https", "/ready")
    assert third.settings == PLAIN


@pytest.mark.parametrize("path", ["ready", "/a b", "/#x"])
def test_a_path_that_cannot_be_probed_is_refused_with_line_and_field(path: str) -> None:
    text = json.dumps([{"targets": ["h:1"], "labels": {"__metrics_path__": path}}])
    with pytest.raises(ConfigurationError, match=r"targets.json:1: labels.__metrics_path__: .* is not a path"):
        parse_records(text, "targets.json")


def test_a_record_with_ten_thousand_labels_has_32_and_hides_no_other() -> None:
    many = {f"n{number:05}": "x" for number in range(10_000)}
    records = [{"game_id": "many", "engine_endpoint": "http://h:1", "labels": many}]
    other = {"game_id": "other", "engine_endpoint": "http://h:2", "labels": {"team": "eu\nus"}}
    first, second = parse_records(json.dumps([*records, other]), "engines.json")
    assert (len(first.labels), second.labels) == (32, {})
