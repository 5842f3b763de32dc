"""Input from people: durations, rules, networks, and JSON paths."""

from __future__ import annotations

import json

from fuzz.target import Target, texts
from healthprobe._util.duration import parse_duration, parse_retention
from healthprobe.cli import options
from healthprobe.domain.networks import InvalidNetwork, Networks, parse_network
from healthprobe.domain.probe.json_path import InvalidJsonPath, ValueNotFound, parse_json_path, value_at

_DOCUMENT = json.loads('{"checks": [{"state": "up"}, [1, [2]]], "a": {"b": {"c": null}}, "": 1}')


def _duration(text: str) -> None:
    duration = parse_duration(text)
    assert duration > 0
    assert parse_duration(str(duration)) > 0


def _rules(text: str) -> None:
    """Tries each of the rules. The text is refused if all of them refuse it."""
    taken = 0
    for parse in (options.parse_count, options.parse_share, options.parse_header_name, options.parse_flap):
        try:
            parse(text)
        except ValueError:
            continue
        taken += 1
    if not taken:
        raise ValueError("none")


def _path(path: str) -> None:
    parse_json_path(path)
    value_at(_DOCUMENT, path)


def _network(text: str) -> None:
    """Parses the text as a network, and as an address to check against networks."""
    for networks in _NETWORKS:
        refusal = networks.refusal(text)
        assert refusal is None or refusal.startswith("address ")
    network = parse_network(text)
    assert Networks(denied=(network,)).refusal(str(network.network_address))


_NETWORKS = (Networks.parse(["10.0.0.0/8", "fd00::/8"]), Networks.parse(deny=["169.254.0.0/16", "::1/128"]))

TARGETS = (
    Target(
        "durations",
        texts(("500ms", "5s", "1m30s", "1.5h", ".5s", "90d"), ("ns", "us", "µs", "ms", "h", "d", ".", "9", "-", "+")),
        _duration,
        (ValueError,),
    ),
    Target("retentions", texts(("90d", "forever", "2160h"), ("d", "9", "forever")), parse_retention, (ValueError,)),
    Target("rules", texts(("2", "50%", "99.9%", "X-Game-ID", "6/1h"), ("/", "%", "h", "9")), _rules, (ValueError,)),
    Target(
        "JSON paths",
        texts(("checks[0].state", "a.b.c", "checks[1][1][0]"), ("[0]", ".", "[", "]", "[999999]")),
        _path,
        (InvalidJsonPath, ValueNotFound),
    ),
    Target(
        "networks",
        texts(
            ("10.0.0.0/8", "fd00::/8", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fe80::1%eth0"),
            ("::", "/", "/33", "/129", "%", ".", "0x7f", "010.", "ffff:", "2002:"),
        ),
        _network,
        (InvalidNetwork,),
    ),
)
