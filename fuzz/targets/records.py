"""Input from platforms: endpoints, probe settings, silences, record files, rows, and key-value entries."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from random import Random
from typing import Any, cast

from sqlalchemy import CursorResult

from fuzz.mutation import Mutator
from fuzz.target import Draw, Target, mutated, texts
from fuzz.values import Values
from healthprobe.adapters.file.runtimes import parse_records
from healthprobe.adapters.nats.record_values import InvalidValue, decode_record, encode_record
from healthprobe.adapters.sql import query as foreign
from healthprobe.adapters.sql import records as own
from healthprobe.adapters.sql.listing import Listing
from healthprobe.domain.endpoint import InvalidEndpoint, masked, parse_endpoint
from healthprobe.domain.probe.probe_parsing import InvalidSettings, parse_settings
from healthprobe.domain.record import RuntimeRecord, parse_silenced_until, probe_settings_text, silenced_until_or_none
from healthprobe.ports import ConfigurationError

_ENDPOINTS = (
    "http://game-7:8080/engine/",
    "https://user:p%40ss@game-7.example:8443/a%20b",
    "http://[fe80::1%25eth0]:8080",
    "http://127.0.0.1",
    "http://bücher.example/ü",
    "unix:/run/games/game-7.sock",
    "unix:///run/s",
)
_OF_ENDPOINTS = ("http://", "https://", "unix:", "[::1]", "@", ":65536", ":0", "..", "xn--", "%zz", "?", "#", "0x7f.1")

_SETTINGS = (
    '{"path": "/ready", "timeout": "500ms", "headers": {"X-A": "b"}, "host": "h:80", "method": "HEAD"}',
    '{"kind": "tcp", "port": 8080, "send": "PING\\r\\n", "expect": {"body_contains": "PONG"}}',
    '{"kind": "grpc", "service": "game", "tls": {"ca": "/a", "server_name": "b", "certificate": "/c", "key": "/d"}}',
    '{"expect": {"status": [200, "201-299"], "json_path": "a.b[0].c", "equals": "up"}}',
    '{"every": 10, "failures": 2, "successes": 3, "tls": {"verify": false}}',
)
_OF_SETTINGS = ('"path":', '"expect":', '"tls":', '"timeout":"1', "1h", '"status":', "200-299", "Infinity", '"kind":')

_JSON_RECORDS = (
    (
        '[{"game_id": "game-7", "engine_endpoint": "http://127.0.0.1:8080", "current_container_id": "c0ffee", '
        '"probe": {"path": "/ready"}, "silenced_until": "2026-11-25T14:00:00Z", "silenced_why": "x"}]'
    ),
    '[{"targets": ["127.0.0.1:8080"], "labels": {"game_id": "game-7", "container_id": "c", "__scheme__": "https"}}]',
    "[]",
)
_YAML_RECORDS = (
    (
        "- game_id: game-7\n  engine_endpoint: http://127.0.0.1:8080\n  current_container_id: c0ffee\n"
        "  probe: {path: /ready, expect: {status: [200, 201-299]}}\n  silenced_until: 2026-11-25T14:00:00Z\n"
    ),
    "- targets: [127.0.0.1:8080, '127.0.0.1:8081']\n  labels:\n    container_id: |\n      c0ffee\n",
    "# none\n[]\n",
)
_OF_MARKUP = (
    "- ", ": ", "\n", "\n  ", "&a ", "*a", "<<: *a", "!!int ", "!!binary ", "!!python/object:os.system ", "---\n",
    "...\n", "%YAML 9.9\n", "|", ">", "? ", '"', "'", "0o7", "1_0", "12:30:45", "2026-13-45", ".inf", "~", "\t",
    '"targets":', '"labels":', '"probe":', '"a` - at `$.b":1,', "9" * 5000,
)  # fmt: skip

_VALUES = (
    b'{"engine_endpoint": "http://127.0.0.1:8080"}',
    (
        b'{"game_id": "game-7", "current_container_id": "c0ffee", "engine_endpoint": "http://h", "status": "running", '
        b'"probe": {"path": "/ready"}, "silenced_until": "2026-11-25T14:00:00Z", "silenced_why": "x"}'
    ),
    b'{"engine_endpoint": "http://h", "probe": "{}", "silenced_until": null}',
)


def _endpoint(text: str) -> None:
    masked(text)
    endpoint = parse_endpoint(text)
    assert endpoint.healthz_path.isascii()
    assert endpoint.authority.isascii()
    assert endpoint.url
    if endpoint.socket is None:
        assert parse_endpoint(endpoint.url).url == endpoint.url


def _settings(text: str) -> None:
    assert parse_settings(text).headers is not None


def _record_values(seeds: tuple[str, ...]) -> Any:
    def source(random: Random) -> Draw:
        return Values(random, Mutator(random, [seed.encode() for seed in seeds])).draw

    return source


def _field(value: Any) -> None:
    """Settings become text that reads back the same. A silence is parsed, or refused with ValueError."""
    text = probe_settings_text(value)
    assert isinstance(text, str)
    assert probe_settings_text(text) == text
    until = silenced_until_or_none(value)
    assert until is None or until == parse_silenced_until(value)
    parse_silenced_until(value)


_USUAL = (("game-7", "game-8"), ("c0ffee", ""), ("http://127.0.0.1:8080",), ("running", "stopped"))
_ROW_SEEDS = (b"game-7", b"c0ffee", b"http://127.0.0.1:8080", b"running", b'{"path": "/ready"}')


def _rows(random: Random) -> Draw:
    """Returns two rows of any values: a query may select columns of any type."""
    values = Values(random, Mutator(random, _ROW_SEEDS))

    def row() -> tuple[Any, ...]:
        return (*(values.mostly(*usual) for usual in _USUAL), *(values.draw() for _ in range(4)))

    return lambda: [row(), row()]


def _cells(random: Random) -> Draw:
    """Returns two rows of our own table, with values of any type, which SQLite allows."""
    values = Values(random, Mutator(random, _ROW_SEEDS))

    def row() -> tuple[Any, ...]:
        drawn = [values.draw_cell() for _ in range(8)]
        return tuple(
            random.choice(usual) if usual and random.random() < 0.7 else cell
            for usual, cell in zip_longest(_USUAL, drawn)
        )

    return lambda: [row(), row()]


class _Rows:
    """A result of a database."""

    returns_rows = True

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    def keys(self) -> tuple[str, ...]:
        return (
            "game_id",
            "current_container_id",
            "engine_endpoint",
            "status",
            "probe",
            "silenced_until",
            "silenced_why",
            "labels",
        )

    def partitions(self, _: int) -> Iterator[list[tuple[Any, ...]]]:
        yield self._rows


def _own_rows(rows: list[tuple[Any, ...]]) -> None:
    _listed_twice(Listing(own._record_of), rows)


def _foreign_rows(rows: list[tuple[Any, ...]]) -> None:
    result = cast("CursorResult[Any]", _Rows(rows))
    listing = Listing(foreign._record_of)
    _require_records(listing.read(result, foreign._columns_of(result), having="running"))


def _listed_twice(listing: Listing, rows: list[tuple[Any, ...]]) -> None:
    for _ in range(2):
        _require_records(listing.read(cast("CursorResult[Any]", _Rows(rows))))


def _require_records(records: list[RuntimeRecord]) -> None:
    """Checks that the records have the types that the worker expects, whatever is in the database."""
    for record in records:
        texts = (record.game_id, record.current_container_id, record.engine_endpoint, record.probe, record.silenced_why)
        assert all(isinstance(text, str) for text in texts), record
        assert record.game_id
        assert "\0" not in record.game_id + record.current_container_id
        assert record.silenced_until is None or record.silenced_until.utcoffset() is not None


def _value(value: bytes) -> None:
    record = decode_record("game-7", value)
    _require_records([record])
    assert decode_record("game-7", encode_record(record)) == record


TARGETS = (
    Target("endpoints", texts(_ENDPOINTS, _OF_ENDPOINTS), _endpoint, (InvalidEndpoint,), share=10),
    Target("probe settings", texts(_SETTINGS, _OF_SETTINGS), _settings, (InvalidSettings,), share=8),
    Target(
        "record fields",
        _record_values(("2026-11-25T14:00:00Z", "2026-11-25 14:00:00+01:00", '{"path": "/ready"}', "20261125")),
        _field,
        (ValueError,),
        share=8,
    ),
    Target(
        "record files, JSON",
        texts(_JSON_RECORDS, (*_OF_SETTINGS, *_OF_MARKUP)),
        lambda text: parse_records(text, "games.json"),
        (ConfigurationError,),
        share=3,
    ),
    Target(
        "record files, YAML",
        texts((*_YAML_RECORDS, *_JSON_RECORDS), _OF_MARKUP),
        lambda text: parse_records(text, "games.yaml"),
        (ConfigurationError,),
        share=2,
    ),
    Target("rows of our table", _cells, _own_rows, share=4),
    Target("rows of a query", _rows, _foreign_rows, share=4),
    Target("key-value entries", mutated(_VALUES, (b'"game_id":', b'"probe":')), _value, (InvalidValue,), share=8),
)
