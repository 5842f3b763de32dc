"""Probe settings: every mistake gives an error of one line that says what to write instead."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from fuzz.watch import armed, watchdog
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.probe.probe_parsing import InvalidSettings, parse_settings
from healthprobe.domain.probe.probe_settings import PLAIN, Expectation, ProbeKind, ProbeSettings, TlsSettings

EVERYTHING = {
    "path": "/ready?deep=1",
    "port": 9090,
    "host": "chess.example",
    "method": "GET",
    "headers": {"X-Probe": "yes", "Authorization": "Bearer abc"},
    "expect": {"status": [200, "202-204"], "body_contains": "ready", "json_path": "checks[0].state", "equals": "up"},
    "timeout": "1s500ms",
    "every": 3,
    "failures": 5,
    "successes": 2,
    "tls": {"ca": "/etc/ca.pem", "server_name": "chess", "certificate": "/c.pem", "key": "/k.pem"},
}


def refused(text: str) -> str:
    with pytest.raises(InvalidSettings) as error:
        parse_settings(text)
    return str(error.value)


def outcome(text: str) -> ProbeSettings | str:
    """Returns the settings, or the error."""
    try:
        return parse_settings(text)
    except InvalidSettings as invalid:
        return str(invalid)


def test_no_settings_mean_the_probe_of_the_reference() -> None:
    assert parse_settings("") is PLAIN
    assert parse_settings("{}") == PLAIN


def test_every_setting_is_parsed() -> None:
    assert parse_settings(json.dumps(EVERYTHING)) == ProbeSettings(
        path="/ready?deep=1",
        port=9090,
        host="chess.example",
        headers=(("X-Probe", "yes"), ("Authorization", "Bearer abc")),
        expect=Expectation(((200, 200), (202, 204)), "ready", "checks[0].state", "up"),
        timeout=1.5,
        every=3,
        failures=5,
        successes=2,
        tls=TlsSettings("/etc/ca.pem", "chess", True, "/c.pem", "/k.pem"),
    )


def test_the_settings_of_other_kinds_are_parsed() -> None:
    tcp = parse_settings('{"kind": "tcp", "send": "PING\\r\\n", "expect": {"body_contains": "PONG"}}')
    assert (tcp.kind, tcp.send, tcp.expect.body_contains) == (ProbeKind.TCP, "PING\r\n", "PONG")
    grpc = parse_settings('{"kind": "grpc", "service": "chess.Engine", "port": 50051}')
    assert (grpc.kind, grpc.service, grpc.port) == (ProbeKind.GRPC, "chess.Engine", 50051)


@pytest.mark.proves("settings-refused")
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"tiemout": "2s"}', 'unknown key "tiemout" (did you mean "timeout"?)'),
        ('{"expect": {"staus": 200}}', 'unknown key "expect.staus" (did you mean "status"?)'),
        ('{"tls": {"verfy": true}}', 'unknown key "tls.verfy" (did you mean "verify"?)'),
        ('{"qqq": 1}', 'unknown key "qqq" (there are kind, path, port'),
        ("{", "they are not JSON"),
        ("[]", "they are not an object with names and values"),
        ("null", "they are not an object with names and values"),
        ('{"expect": 200}', "expect is not an object with names and values"),
        ('{"kind": "udp"}', "kind: udp is not one of http, tcp, grpc"),
        ('{"path": "ready"}', "path: ready is not a path: begin it with /"),
        ('{"path": "/a b"}', "write spaces as %20"),
        ('{"path": "/a\\r\\nX: y"}', "path: /a??X: y is not a path"),
        ('{"port": 0}', "port: 0 is not a number from 1 to 65535"),
        ('{"port": true}', "port: true is not a number from 1 to 65535"),
        ('{"port": "80"}', "port: 80 is not a number from 1 to 65535"),
        ('{"host": "a b"}', "host: a b is not a Host header"),
        ('{"method": "POST"}', "method: POST is neither GET nor HEAD"),
        ('{"method": ["GET"]}', 'method: ["GET"] is neither GET nor HEAD'),
        ('{"headers": ["a"]}', "headers: they are not an object"),
        ('{"headers": {"A B": "c"}}', "headers: A B is not a name of a header"),
        ('{"headers": {"A": "b\\nC: d"}}', "headers: the value of A is not text of one line"),
        ('{"headers": {"Host": "x"}}', 'headers: Host cannot be set: use "host"'),
        ('{"headers": {"content-length": "5"}}', "a probe has no body"),
        ('{"expect": {"status": 99}}', "expect.status: 99 is not a status: write 200, or 200-299"),
        ('{"expect": {"status": "299-200"}}', "expect.status: 299-200 is not a status"),
        ('{"expect": {"status": []}}', "expect.status: it is empty"),
        ('{"expect": {"body_contains": ""}}', "expect.body_contains: write a text of 1 to 4096"),
        ('{"expect": {"json_path": "a..b", "equals": 1}}', "expect.json_path: a..b is not a path into a JSON body"),
        ('{"expect": {"json_path": "a"}}', 'expect: "json_path" and "equals" go together'),
        ('{"expect": {"equals": 1}}', 'expect: "json_path" and "equals" go together'),
        ('{"expect": {"json_path": "a", "equals": [1]}}', "expect.equals: write a text, a number, true or false"),
        ('{"timeout": 2}', "timeout: 2 is not a duration: write numbers with units"),
        ('{"timeout": "2"}', "timeout: 2 is not a duration"),
        ('{"timeout": "0s"}', "timeout: 0s is shorter than 1ms"),
        ('{"every": 0}', "every: 0 is not a whole number from 1 to 1000"),
        ('{"failures": 1.5}', "failures: 1.5 is not a whole number"),
        ('{"tls": {"verify": "no"}}', "tls.verify: no is neither true nor false"),
        ('{"tls": {"key": "/k"}}', 'tls: a "key" without its "certificate"'),
        ('{"tls": {"ca": "/c", "verify": false}}', "leave one out"),
        ('{"tls": {"ca": "games.pem"}}', "tls.ca: games.pem is not an absolute path of a file: write one such"),
        ('{"tls": {"certificate": "/c\\u0000"}}', "tls.certificate: /c? is not an absolute path of a file"),
        ('{"tls": {"ca": "/\\udc00"}}', "tls.ca: /? contains half of a character"),
        ('{"expect": {"body_contains": "\\ud83d"}}', "expect.body_contains: ? contains half of a character"),
        ('{"kind": "tcp", "send": "\\ud83d"}', "send: ? contains half of a character"),
        ('{"kind": "grpc", "service": "\\ud83d"}', "service: ? contains half of a character"),
        ('{"kind": "tcp", "host": "x"}', '"host" is for the kinds http and grpc, and this is tcp'),
        ('{"kind": "tcp", "path": "/x"}', '"path" is for the kind http, and this is tcp'),
        ('{"kind": "tcp", "expect": {"status": 201}}', "a status and a JSON body are for the kind http"),
        ('{"send": "x"}', '"send" is for the kind tcp, and this is http'),
        ('{"service": "x"}', '"service" is for the kind grpc, and this is http'),
        ('{"kind": "grpc", "expect": {"body_contains": "x"}}', "body_contains is for the kinds http and tcp"),
        ('{"method": "HEAD", "expect": {"body_contains": "x"}}', "an answer to HEAD has no body"),
    ],
)
def test_a_mistake_is_refused_with_what_to_write_instead(text: str, error: str) -> None:
    assert error in refused(text)


@pytest.mark.proves("settings-nested")
@pytest.mark.parametrize("deep", [10_000, 1_000_000])
def test_a_deeply_nested_document_is_refused(deep: int) -> None:
    assert refused("[" * deep) == "they are not JSON"


@pytest.mark.proves("settings-megabytes")
@pytest.mark.timeout(10)
@pytest.mark.parametrize("text", ["1" * 2_000_000, "1s" * 1_000_000, "." * 2_000_000])
@pytest.mark.parametrize("name", ["timeout", "path", "host", "headers", "port", "method", "kind", "send", "x"])
def test_a_huge_value_is_refused_at_once_in_one_short_line(name: str, text: str) -> None:
    assert len(refused(json.dumps({name: text}))) < 250
    assert len(refused(json.dumps({"expect": {"json_path": text, "equals": 1, "status": text}}))) < 250


_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(["2s", "tcp", "/", "GET"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=6,
)
_names = st.sampled_from([*EVERYTHING, "kind", "send", "service", "status", "verify", "tmieout"])


@pytest.mark.proves("settings-followed-or-refused")
@given(st.one_of(st.text(), st.dictionaries(_names, _values, max_size=4).map(json.dumps)))
def test_any_document_is_parsed_or_refused_in_one_line(text: str) -> None:
    error = outcome(text)
    if isinstance(error, str):
        assert "\n" not in error
        assert len(error) < 400
    else:
        assert error.every >= 1
        assert error.timeout is None or error.timeout > 0


@given(st.sampled_from(sorted(EVERYTHING)), st.data())
def test_a_misspelled_name_is_refused_with_the_right_one(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name) - 1))
    wrong = f"{name[:at]}{name[at]}{name[at:]}"
    document: dict[str, Any] = {wrong: EVERYTHING[name]}
    assert f'did you mean "{name}"?' in refused(json.dumps(document))


def test_a_timeout_of_any_length_is_refused_at_once() -> None:
    with watchdog(), armed(1.0), pytest.raises(InvalidSettings, match="is not a duration"):
        parse_settings(json.dumps({"timeout": "9" * 70_000}))


def test_a_document_almost_too_deep_to_parse_is_refused_in_one_line() -> None:
    for depth in range(sys.getrecursionlimit() - 300, sys.getrecursionlimit()):
        error = refused(f'{{"path": {"[" * depth}{"]" * depth}}}')
        assert error.startswith("path: ") or error == "they are not JSON"
