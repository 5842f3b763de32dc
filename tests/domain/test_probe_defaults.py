"""The fleet's probe defaults: what a record says wins."""

from __future__ import annotations

from healthprobe.domain.outcome import Failed
from healthprobe.domain.probe.probe_parsing import parse_settings, settings_from
from healthprobe.domain.probe.probe_settings import PLAIN, Expectation, ProbeKind, ProbeSettings
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import parse_target

FLEET = ProbeSettings(
    path="/ready",
    method="HEAD",
    headers=(("X-Fleet", "eu"), ("X-Probe", "yes")),
    expect=Expectation(statuses=((200, 299),)),
    every=2,
    port=9090,
)


def test_a_record_that_says_nothing_is_probed_as_the_fleet_is() -> None:
    assert parse_settings("", FLEET) is FLEET
    assert parse_settings("{}", FLEET) == FLEET
    assert parse_settings("{}") == PLAIN


def test_a_record_changes_the_settings_that_it_names_and_no_others() -> None:
    settings = parse_settings('{"path": "/healthz", "expect": {"body_contains": "ok"}, "method": "GET"}', FLEET)
    assert (settings.path, settings.method, settings.every, settings.port) == ("/healthz", "GET", 2, 9090)
    assert settings.expect == Expectation(body_contains="ok")


def test_headers_of_a_record_are_added_by_name() -> None:
    settings = settings_from({"headers": {"x-probe": "no", "X-Game": "7"}}, FLEET)
    assert settings.headers == (("X-Fleet", "eu"), ("x-probe", "no"), ("X-Game", "7"))


def test_a_record_of_another_kind_keeps_what_every_kind_has() -> None:
    settings = settings_from({"kind": "tcp", "send": "PING"}, FLEET)
    assert settings == ProbeSettings(kind=ProbeKind.TCP, send="PING", every=2, port=9090)
    assert settings_from({"kind": "http"}, settings) == ProbeSettings(every=2, port=9090)


def test_a_target_is_made_with_the_defaults() -> None:
    record = RuntimeRecord("game-7", "", "http://10.0.0.7:8080")
    target = parse_target(record, 2.0, longest=5.0, defaults=FLEET)
    assert not isinstance(target.endpoint, Failed)
    assert (target.endpoint.port, target.settings.path) == (9090, "/ready")
