"""The state of relays on JetStream: cursors and dead letters, one message a subject."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from healthprobe.adapters.nats.connection import JetStream, Request
from healthprobe.adapters.nats.errors import Contention, as_log_errors
from healthprobe.adapters.nats.stream_leader import Message, StreamLeader
from healthprobe.adapters.nats.streams import EXPECTED, LogStreams
from healthprobe.domain.event import HealthEvent, format_instant, parse_instant
from healthprobe.ports import DeadLetter, LogError

_TRIES = 20
_PAGE = 500


class _Document(msgspec.Struct, frozen=True):
    """A dead letter as stored. `first` is the sequence at which its event was first parked; 0 if it is this one."""

    publisher: str
    event: dict[str, Any]
    reason: str
    parked_at: str
    due: bool
    first: int

    def letter(self) -> DeadLetter:
        """Returns the dead letter. Raises LogError if it was altered."""
        try:
            parked_at, event = parse_instant(self.parked_at), HealthEvent.from_document(self.event)
        except ValueError as error:
            raise LogError(
                f"a dead letter for {self.publisher} was altered and cannot be read", permanent=True
            ) from error
        return DeadLetter(self.publisher, event, self.reason, parked_at, due=self.due)


_to_document = msgspec.json.Decoder(_Document)


class _Cursor(msgspec.Struct, frozen=True):
    name: str
    cursor: int


_to_cursor = msgspec.json.Decoder(_Cursor)


class JetStreamRelayState:
    """The cursors and dead letters of a log on JetStream. Every method raises LogError."""

    def __init__(self, stream: JetStream, streams: LogStreams) -> None:
        self._stream = stream
        self._streams = streams
        self._relays = StreamLeader(stream, streams.relays)
        self._none_due_until: dict[str, int] = {}

    async def load_cursor(self, name: str) -> int | None:
        """Returns the cursor saved under `name`, or None."""
        with as_log_errors(self._stream):
            (message,) = await self._relays.last([self._streams.of_cursor(name)])
        return None if message is None else _decode_cursor(message).cursor

    async def save_cursor(self, name: str, cursor: int) -> None:
        """Saves `cursor` under `name`, unless a greater one is saved: it is stored when this returns."""
        with as_log_errors(self._stream):
            await self._replace([self._streams.of_cursor(name)], partial(_greater, _Cursor(name, cursor)))

    async def all_cursors(self) -> Mapping[str, int]:
        """Returns all cursors by name."""
        with as_log_errors(self._stream):
            cursors = [_decode_cursor(message) for message in await self._last_of_each(self._streams.all_cursors)]
        return dict(sorted((each.name, each.cursor) for each in cursors))

    async def forget_cursor(self, name: str) -> bool:
        """Removes the cursor saved under `name`; returns whether there was one."""
        with as_log_errors(self._stream):
            return await self._relays.purge(self._streams.of_cursor(name)) > 0

    async def park(self, letter: DeadLetter) -> None:
        """Stores `letter` in the place of an earlier one with the same event and publisher."""
        subject = self._streams.of_letter(letter.publisher, letter.event)
        with as_log_errors(self._stream):
            await self._replace([subject], partial(_parked, letter))

    async def dead_letters(self, limit: int, *, due_at: str | None = None) -> Sequence[DeadLetter]:
        """Returns at most `limit` dead letters, in the order in which their events were first parked.

        With `due_at`, only those that are to be sent again to the publisher of this name.
        """
        with as_log_errors(self._stream):
            if due_at is None:
                letters = await self._letters(self._streams.letters_of(None))
                return [document.letter() for _, document in letters[:limit]]
            return (await self._due(due_at))[:limit]

    async def request_replay(self) -> int:
        """Marks every dead letter as due. Returns how many there are."""
        with as_log_errors(self._stream):
            letters = await self._letters(self._streams.letters_of(None))
            return await self._replace([message.subject for message, _ in letters], _made_due)

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
        due = [document.letter() for _, document in await self._letters(subject) if document.due]
        if not due:
            self._none_due_until[publisher] = newest.seq
        return due

    async def _letters(self, subject: str) -> list[tuple[Message, _Document]]:
        """Returns all letters of `subject`, in the order in which their events were first parked."""
        found = [(message, _decode_letter(message)) for message in await self._last_of_each(subject)]
        return sorted(found, key=lambda each: each[1].first or each[0].seq)

    async def _last_of_each(self, subjects: str) -> Collection[Message]:
        """Returns the last message of each subject that matches.

        One that is replaced meanwhile moves to the end of the stream, and is read there again.
        """
        found: dict[str, Message] = {}
        after = 0
        while page := await self._relays.read(after, _PAGE, subjects):
            found.update((message.subject, message) for message in page)
            after = page[-1].seq
        return found.values()

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


def _greater(cursor: _Cursor, existing: Message | None) -> _Cursor | None:
    return cursor if existing is None or _decode_cursor(existing).cursor < cursor.cursor else None


def _parked(letter: DeadLetter, existing: Message | None) -> _Document:
    first = 0 if existing is None else _decode_letter(existing).first or existing.seq
    event, parked_at = letter.event.as_document(), format_instant(letter.parked_at)
    return _Document(letter.publisher, event, letter.reason, parked_at, letter.due, first)


def _made_due(existing: Message | None) -> _Document | None:
    if existing is None:
        return None
    document = _decode_letter(existing)
    return msgspec.structs.replace(document, due=True, first=document.first or existing.seq)


def _decode_letter(message: Message) -> _Document:
    try:
        return _to_document.decode(message.data)
    except (ValueError, RecursionError) as error:
        raise LogError(f"a dead letter on {message.subject} was altered and cannot be read", permanent=True) from error


def _decode_cursor(message: Message) -> _Cursor:
    try:
        return _to_cursor.decode(message.data)
    except (ValueError, RecursionError) as error:
        raise LogError(f"the cursor on {message.subject} was altered and cannot be read", permanent=True) from error
