"""Events in a log that others may have altered, and what goes from a log to a bus."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from random import Random
from typing import Any, cast

from sqlalchemy import Row

from fuzz.mutation import Mutator
from fuzz.target import Draw, Target, mutated
from fuzz.values import Values
from healthprobe.adapters.nats.appending import message_id
from healthprobe.adapters.nats.documents import decode_document
from healthprobe.adapters.nats.relay_state import decode_cursor, decode_letter
from healthprobe.adapters.nats.stored_events import decode_event, encode_event
from healthprobe.adapters.nats.stream_leader import Message
from healthprobe.adapters.nats.streams import LogStreams
from healthprobe.adapters.redis.entry import Entry
from healthprobe.adapters.sql.event_rows import event_from_row
from healthprobe.domain.document import read_documents
from healthprobe.domain.event import (
    AlteredEvent,
    HealthEvent,
    ProbeEndedDetails,
    ProbeFailedDetails,
    ProbeRecoveredDetails,
)
from healthprobe.domain.outcome import sanitize_error

_FAILED = (
    b'{"id":"game-7:3","sequence":3,"game_id":"game-7","container_id":"c0ffee","event_type":"probe_failed",'
    b'"occurred_at":"2026-11-23T17:00:00.123456Z","details":{"consecutive_failures":3,"last_status":503,'
    b'"last_error":"unexpected status 503"}}'
)
_EVENT = json.loads(_FAILED)
_STREAMS = LogStreams("health")
_RECOVERED = _FAILED.replace(b"probe_failed", b"probe_recovered").replace(
    b'"consecutive_failures":3', b'"prior_failure_count":5'
)
_LETTER = (
    b'{"publisher":"redis","event":%b,"reason":"too large","parked_at":"2026-11-23T17:00:00.123456Z",'
    b'"due":false,"first":0}'
)
_DOCUMENT = b'{"key":"game-7","document":"{\\"game_id\\": \\"game-7\\"}"}'
_CURSOR = b'{"name":"redis","cursor":17}'
_OF_EVENTS = (
    b'"sequence":',
    b'"details":',
    b'"0001-01-01T00:00:00.000000Z"',
    b'"9999-12-31T23:59:59.999999-23:59"',
    b"0001-01-01T00:00:00+23:59",
    b"1e308",
    b"18446744073709551615",
    b'"x":' + b"[" * 1_100,
    b"[" * 1_100,
)
_INSTANTS = (
    "2026-11-23T17:00:00.123456Z",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59.999999-01:00",
    "2026-W01-1",
)


def _event(body: bytes) -> None:
    event = decode_event(Message(3, _STREAMS.of_game("game-7"), body), _STREAMS)
    assert message_id(event)
    assert event.game_id == "game-7"
    if not isinstance(event, AlteredEvent):
        assert _decoded_again(event) == event


def _decoded_again(event: HealthEvent) -> HealthEvent:
    return decode_event(Message(3, _STREAMS.of_game(event.game_id), encode_event(event)), _STREAMS)


def _letter(body: bytes) -> None:
    subject = _STREAMS.of_letter("redis", HealthEvent.from_document(_EVENT))
    letter = decode_letter(Message(3, subject, body), _STREAMS).letter
    assert letter.publisher == "redis"
    assert letter.event.id == "game-7:3"


def _words(random: Random) -> Values:
    return Values(random, Mutator(random, [b"game-7", b"unexpected status 503", _INSTANTS[0].encode()]))


def _documents(random: Random) -> Draw:
    """Returns an event type and details with any values in them."""
    values = _words(random)

    def draw() -> tuple[Any, Any]:
        details = {
            "consecutive_failures": values.mostly(3),
            "last_status": values.mostly(503),
            "last_error": values.draw(),
            "prior_failure_count": values.mostly(3),
            "reason": values.mostly("game no longer runs"),
        }
        return values.mostly("probe_failed", "probe_recovered", "probe_ended"), values.mostly(details, details, details)

    return draw


def _event_rows(random: Random) -> Draw:
    values, documents = _words(random), _documents(random)

    def draw() -> tuple[Any, ...]:
        kind, details = documents()
        text = values.mostly(_as_json(details))
        labels = values.mostly(None, '{"team": "eu"}')
        return (values.mostly("game-7"), values.mostly(3), values.draw(), kind, values.mostly(*_INSTANTS), text, labels)

    return draw


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value, default=repr)
    except TypeError:  # a key that JSON has no form for
        return repr(value)


def _events(random: Random) -> Draw:
    """Returns events as a worker makes them, of records with any text in them."""
    values = _words(random)

    def draw() -> tuple[str, str, str, int, int]:
        game_id, container_id, error = (str(values.mostly("game-7", "c0ffee")) for _ in range(3))
        return game_id, container_id, error, random.randint(1, 2**63 - 1), random.randint(0, 999)

    return draw


def _entry(given: tuple[str, str, str, int, int]) -> None:
    game_id, container_id, error, count, status = given
    occurred_at = datetime(2026, 11, 23, 17, tzinfo=UTC)
    ends = (ProbeRecoveredDetails(count), ProbeEndedDetails(sanitize_error(error)))
    for details in (ProbeFailedDetails(count, status, sanitize_error(error)), *ends):
        event = HealthEvent(count, game_id, container_id, occurred_at, details)
        assert message_id(event)
        entry = Entry.of(event, "/healthprobe")
        fields = dict(zip(entry.names, entry.values, strict=True))
        assert json.loads(fields["details"]) == details.as_document()
        assert fields["game_id"].decode() == game_id
        assert _decoded_again(event) == event


def _document(body: bytes) -> None:
    key, document = decode_document(Message(1, _STREAMS.of_document("alert", "game-7"), body), "alert", _STREAMS)
    assert key == "game-7"
    assert document.encode() is not None
    read_documents({key: document}, json.loads, "alert")


def _row(row: tuple[Any, ...]) -> None:
    event = event_from_row(cast("Row[Any]", row), "at 3 in the log")
    assert json.dumps(event.as_document())
    assert isinstance(event.sequence, int)
    assert isinstance(event.game_id + event.container_id, str)


TARGETS = (
    Target("events on NATS", mutated((_FAILED, _RECOVERED), _OF_EVENTS), _event, share=6),
    Target(
        "dead letters on NATS",
        mutated((_LETTER % _FAILED, _LETTER % _RECOVERED), _OF_EVENTS),
        _letter,
        share=3,
    ),
    Target(
        "cursors on NATS",
        mutated((_CURSOR,), _OF_EVENTS),
        lambda body: decode_cursor(Message(1, _STREAMS.of_cursor("redis"), body), _STREAMS),
        share=3,
    ),
    Target("documents on NATS", mutated((_DOCUMENT,), _OF_EVENTS), _document, share=3),
    Target(
        "event documents",
        _documents,
        lambda given: HealthEvent.from_document(_EVENT | {"event_type": given[0], "details": given[1]}),
        (ValueError,),
        share=4,
    ),
    Target("event rows", _event_rows, _row, share=4),
    Target("entries for Redis", _events, _entry, (UnicodeEncodeError,), share=3),
)
