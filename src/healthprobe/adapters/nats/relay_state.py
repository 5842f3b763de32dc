"""The state of relays on JetStream: cursors and dead letters, one message a subject."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from healthprobe._util.text import printable, shorten, shorten_bytes
from healthprobe.adapters.nats.connection import JetStream, Request
from healthprobe.adapters.nats.errors import Contention, as_log_errors
from healthprobe.adapters.nats.stream_leader import Message, StreamLeader
from healthprobe.adapters.nats.streams import EXPECTED, LogStreams, name_of
from healthprobe.domain.event import AlteredEvent, HealthEvent, altered_event, format_instant, parse_instant
from healthprobe.ports import ContentError, DeadLetter

_TRIES = 20
_HEADERS = 256
"""More bytes than the headers of a dead letter have, and than it grows by when it is replayed."""

_SHORTEST_REASON = 16


class _Document(msgspec.Struct, frozen=True):
    """A dead letter as stored, in which any value can be altered.

    `first` is the sequence at which its event was first parked; 0 if it is this one.
    """

    publisher: Any = ""
    event: Any = None
    reason: Any = ""
    parked_at: Any = ""
    due: Any = False
    first: Any = 0


class _Cursor(msgspec.Struct, frozen=True):
    name: str
    cursor: int


_to_document = msgspec.json.Decoder(_Document)
_to_cursor = msgspec.json.Decoder(_Cursor)
_GREATEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Stored:
    """A dead letter, where it is stored, as what, and its place in the order of all."""

    subject: str
    document: _Document
    letter: DeadLetter
    place: int

    @property
    def is_altered(self) -> bool:
        return isinstance(self.letter.event, AlteredEvent)


class JetStreamRelayState:
    """The cursors and dead letters of a log on JetStream. Every method raises LogError."""

    def __init__(self, stream: JetStream, streams: LogStreams) -> None:
        self._stream = stream
        self._streams = streams
        self._relays = StreamLeader(stream, streams.relays)
        self._none_due_until: dict[str, int] = {}

    async def load_cursor(self, name: str) -> int | None:
        """Returns the cursor saved under `name`, or None. Raises ContentError for one that was altered."""
        with as_log_errors(self._stream):
            (message,) = await self._relays.last([self._streams.of_cursor(name)])
        if message is None:
            return None
        cursor = decode_cursor(message, self._streams)
        if cursor is None:
            text = message.data[:80].decode(errors="backslashreplace")
            raise ContentError(f"the cursor of {name} in the log was altered: {shorten(repr(text), 80)}")
        return cursor

    async def save_cursor(self, name: str, cursor: int) -> None:
        """Saves `cursor` under `name`, unless a greater one is saved: it is stored when this returns."""
        with as_log_errors(self._stream):
            await self._replace(
                [self._streams.of_cursor(name)], partial(_greater, self._streams, _Cursor(name, cursor))
            )

    async def all_cursors(self) -> Mapping[str, int]:
        """Returns all cursors by name; 0 for one that was altered, for its relay begins there."""
        with as_log_errors(self._stream):
            messages = await self._relays.last_of_each(self._streams.all_cursors)
        cursors = {_name_of_cursor(message): decode_cursor(message, self._streams) or 0 for message in messages}
        return dict(sorted(cursors.items()))

    async def forget_cursor(self, name: str) -> bool:
        """Removes the cursor saved under `name`; returns whether there was one."""
        with as_log_errors(self._stream):
            return await self._relays.purge(self._streams.of_cursor(name)) > 0

    async def park(self, letter: DeadLetter) -> None:
        """Stores `letter` in the place of an earlier one with the same event and publisher.

        The reason is cut where the server would not take it whole. Raises ContentError for one that is still too large.
        """
        subject = self._streams.of_letter(letter.publisher, letter.event)
        largest = self._stream.client.max_payload - _HEADERS
        with as_log_errors(self._stream):
            await self._replace([subject], partial(_parked, letter, largest))

    async def dead_letters(self, limit: int, *, due_at: str | None = None) -> Sequence[DeadLetter]:
        """Returns at most `limit` dead letters, in the order in which their events were first parked.

        With `due_at`, only those that are to be sent again to the publisher of this name. One that was altered, and
        cannot be read, has an AlteredEvent.
        """
        with as_log_errors(self._stream):
            if due_at is None:
                letters = await self._letters(self._streams.letters_of(None))
                return [stored.letter for stored in letters[:limit]]
            return (await self._due(due_at))[:limit]

    async def request_replay(self) -> int:
        """Marks every dead letter as due that can be read. Returns how many there are."""
        with as_log_errors(self._stream):
            letters = await self._letters(self._streams.letters_of(None))
            subjects = [stored.subject for stored in letters if not stored.is_altered]
            return await self._replace(subjects, _made_due)

    async def release(self, letter: DeadLetter) -> None:
        """Removes `letter`, whose event was delivered."""
        with as_log_errors(self._stream):
            await self._relays.purge(self._streams.of_letter(letter.publisher, letter.event))

    async def _due(self, publisher: str) -> list[DeadLetter]:
        """Relays ask every second: reads only if a letter of theirs was written since none was due."""
        subject = self._streams.letters_of(publisher)
        (newest,) = await self._relays.last([subject])
        if newest is None or newest.seq == self._none_due_until.get(publisher):
            return []
        due = [stored.letter for stored in await self._letters(subject) if stored.letter.due]
        if not due:
            self._none_due_until[publisher] = newest.seq
        return due

    async def _letters(self, subject: str) -> list[_Stored]:
        """Returns all letters of `subject`, in the order in which their events were first parked."""
        found = [decode_letter(message, self._streams) for message in await self._relays.last_of_each(subject)]
        return sorted(found, key=lambda stored: stored.place)

    async def _replace(
        self, subjects: Sequence[str], replacement: Callable[[Message | None], _Document | _Cursor | None]
    ) -> int:
        """Replaces the last message of each subject by what `replacement` returns for it, unless that is None.

        Returns how many were replaced.
        """
        replaced = 0
        for _ in range(_TRIES):
            existing = await self._relays.last(subjects)
            wanted = [
                (message, subject, document)
                for message, subject in zip(existing, subjects, strict=True)
                if (document := replacement(message)) is not None
            ]
            requests = [
                Request(subject, msgspec.json.encode(document), {EXPECTED: str(message.seq if message else 0)})
                for message, subject, document in wanted
            ]
            acks = await self._relays.write(requests)
            subjects = [subject for (_, subject, _), ack in zip(wanted, acks, strict=True) if ack.is_rejected]
            replaced += len(wanted) - len(subjects)
            if not subjects:
                return replaced
        raise Contention("others change the same cursors or dead letters all the time")


def _greater(streams: LogStreams, cursor: _Cursor, existing: Message | None) -> _Cursor | None:
    stands = None if existing is None else decode_cursor(existing, streams)
    return cursor if stands is None or stands < cursor.cursor else None


def _parked(letter: DeadLetter, largest: int, existing: Message | None) -> _Document:
    """Returns `letter` as it is stored: with as much of the reason as leaves it at most `largest` bytes long."""
    first = 0 if existing is None else _place_of(_decode_document(existing), existing)
    event, parked_at = letter.event.as_document(), format_instant(letter.parked_at)
    whole = _Document(letter.publisher, event, letter.reason, parked_at, letter.due, first)
    if len(msgspec.json.encode(whole)) <= largest:
        return whole
    without = msgspec.structs.replace(whole, reason="")
    room = (largest - len(msgspec.json.encode(without))) // 2  # JSON writes quotation marks in two bytes
    reason = shorten_bytes(printable(letter.reason), room) if room >= _SHORTEST_REASON else ""
    return msgspec.structs.replace(whole, reason=reason)


def _made_due(existing: Message | None) -> _Document | None:
    if existing is None:
        return None
    document = _decode_document(existing)
    return msgspec.structs.replace(document, due=True, first=_place_of(document, existing))


def decode_letter(message: Message, streams: LogStreams) -> _Stored:
    """Returns the dead letter in `message`: with an AlteredEvent where its event or its publisher was altered."""
    document = _decode_document(message)
    publisher, _, event_id = message.subject.removeprefix(streams.letters).partition(".")
    of = name_of(publisher) or publisher
    try:
        event = _event_of(document, message, streams)
        of = document.publisher
    except ValueError as error:
        event = _altered(name_of(event_id), f"among the dead letters for {of}", error)
    try:
        parked_at = parse_instant(document.parked_at)
    except (TypeError, ValueError):
        parked_at = event.occurred_at
    letter = DeadLetter(of, event, str(document.reason), parked_at, due=bool(document.due))
    return _Stored(message.subject, document, letter, _place_of(document, message))


def _event_of(document: _Document, message: Message, streams: LogStreams) -> HealthEvent:
    event = HealthEvent.from_document(document.event)
    if not isinstance(document.publisher, str) or streams.of_letter(document.publisher, event) != message.subject:
        raise ValueError("its subject is not that of its publisher and event")
    return event


def _altered(event_id: str, place: str, error: ValueError) -> AlteredEvent:
    """Returns what can be known of an event by its id."""
    game_id, _, sequence = event_id.rpartition(":")
    number = int(sequence) if sequence.isascii() and sequence.isdecimal() and len(sequence) < 19 else 0
    return altered_event({"game_id": game_id, "sequence": number}, place, error)


def _decode_document(message: Message) -> _Document:
    """Returns the dead letter as stored: empty where the message is no JSON object."""
    try:
        return _to_document.decode(message.data)
    except (ValueError, RecursionError):
        return _Document()


def _place_of(document: _Document, message: Message) -> int:
    first = document.first
    return first if type(first) is int and 0 < first <= message.seq else message.seq


def decode_cursor(message: Message, streams: LogStreams) -> int | None:
    """Returns the cursor in `message`, or None if it was altered."""
    try:
        stored = _to_cursor.decode(message.data)
    except (ValueError, RecursionError):
        return None
    is_ours = streams.of_cursor(stored.name) == message.subject and 0 <= stored.cursor <= _GREATEST
    return stored.cursor if is_ours else None


def _name_of_cursor(message: Message) -> str:
    """Returns the name of the relay of a cursor, or what stands for it in the subject of an altered one."""
    token = message.subject.rpartition(".")[2]
    if name := name_of(token):
        return name
    try:
        return _to_cursor.decode(message.data).name
    except (ValueError, RecursionError):
        return token
