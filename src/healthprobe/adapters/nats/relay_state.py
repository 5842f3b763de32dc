"""The state of relays on JetStream: cursors and dead letters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from healthprobe.adapters.nats.connection import JetStream, Request
from healthprobe.adapters.nats.errors import Outrun, as_log_errors
from healthprobe.adapters.nats.stream_leader import Leader, Message
from healthprobe.adapters.nats.streams import EXPECTED, LogStreams
from healthprobe.domain.event import HealthEvent, format_instant, parse_instant
from healthprobe.ports import DeadLetter, LogError

_ROUNDS = 20
_PAGE = 500


class _Document(msgspec.Struct, frozen=True):
    """A letter as it is kept. `first` is the place at which its event was parked first, or 0 where that is this one."""

    publisher: str
    event: dict[str, Any]
    reason: str
    parked_at: str
    due: bool
    first: int

    def letter(self) -> DeadLetter:
        """The letter. Raises LogError where somebody altered it."""
        try:
            parked_at, event = parse_instant(self.parked_at), HealthEvent.from_document(self.event)
        except ValueError as error:
            told = f"a dead letter for {self.publisher} was altered and cannot be read"
            raise LogError(told, permanent=True) from error
        return DeadLetter(self.publisher, event, self.reason, parked_at, due=self.due)


_to_document = msgspec.json.Decoder(_Document)


class JetStreamLetters:
    """The dead letters of a log on JetStream. Every method raises LogError."""

    def __init__(self, stream: JetStream, streams: LogStreams) -> None:
        self._stream = stream
        self._streams = streams
        self._relays = Leader(stream, streams.relays)
        self._none_due_until: dict[str, int] = {}

    async def park(self, letter: DeadLetter) -> None:
        """Keep `letter` in the place of an earlier one about the same event and publisher."""
        subject = self._streams.of_letter(letter.publisher, letter.event)
        with as_log_errors(self._stream):
            await self._replace([subject], lambda standing: _parked(letter, standing))

    async def dead_letters(self, limit: int, *, due_at: str | None = None) -> Sequence[DeadLetter]:
        """At most `limit` letters, in the order in which their events were parked first.

        With `due_at`, those alone that the publisher of this name is to be sent again.
        """
        with as_log_errors(self._stream):
            if due_at is None:
                standing = await self._standing(self._streams.letters_of(None))
                return [document.letter() for _, document in standing[:limit]]
            return (await self._due(due_at))[:limit]

    async def request_replay(self) -> int:
        """Make every dead letter due. Returns how many there are."""
        with as_log_errors(self._stream):
            standing = await self._standing(self._streams.letters_of(None))
            return await self._replace([message.subject for message, _ in standing], _asked_again)

    async def release(self, letter: DeadLetter) -> None:
        """Forget `letter`: its event was delivered after all."""
        with as_log_errors(self._stream):
            await self._relays.clear(self._streams.of_letter(letter.publisher, letter.event))

    async def _due(self, publisher: str) -> list[DeadLetter]:
        """Relays ask every second: as long as no letter of theirs was written since there was none, nothing is read."""
        subject = self._streams.letters_of(publisher)
        (newest,) = await self._relays.last([subject])
        if newest is None or newest.seq == self._none_due_until.get(publisher):
            return []
        due = [document.letter() for _, document in await self._standing(subject) if document.due]
        if not due:
            self._none_due_until[publisher] = newest.seq
        return due

    async def _standing(self, subject: str) -> list[tuple[Message, _Document]]:
        """All letters that match, in the order in which their events were parked first.

        One that is replaced meanwhile moves to the end of the stream, and is met there again.
        """
        found: dict[str, tuple[Message, _Document]] = {}
        after = 0
        while page := await self._relays.read(after, _PAGE, subject):
            found.update((message.subject, (message, _document_in(message))) for message in page)
            after = page[-1].seq
        return sorted(found.values(), key=lambda each: each[1].first or each[0].seq)

    async def _replace(self, subjects: Sequence[str], replacement: Callable[[Message | None], _Document | None]) -> int:
        """Put in each place what `replacement` makes of what stands there, unless it is None; how many do stand."""
        replaced = 0
        for _ in range(_ROUNDS):
            standing = await self._relays.last(subjects)
            wanted = [
                (message, subject, document)
                for message, subject in zip(standing, subjects, strict=True)
                if (document := replacement(message)) is not None
            ]
            requests = [
                Request(subject, msgspec.json.encode(document), {EXPECTED: str(message.seq if message else 0)})
                for message, subject, document in wanted
            ]
            receipts = await self._relays.write(requests)
            subjects = [subject for (_, subject, _), receipt in zip(wanted, receipts, strict=True) if receipt.is_outrun]
            replaced += len(wanted) - len(subjects)
            if not subjects:
                return replaced
        raise Outrun("others change the same dead letters all the time")


def _parked(letter: DeadLetter, standing: Message | None) -> _Document:
    first = 0 if standing is None else _document_in(standing).first or standing.seq
    event, parked_at = letter.event.as_document(), format_instant(letter.parked_at)
    return _Document(letter.publisher, event, letter.reason, parked_at, letter.due, first)


def _asked_again(standing: Message | None) -> _Document | None:
    if standing is None:
        return None
    document = _document_in(standing)
    return msgspec.structs.replace(document, due=True, first=document.first or standing.seq)


def _document_in(message: Message) -> _Document:
    try:
        return _to_document.decode(message.data)
    except (ValueError, RecursionError) as error:
        told = f"a dead letter on {message.subject} was altered and cannot be read"
        raise LogError(told, permanent=True) from error


_ROUNDS = 20
_PAGE = 500


class _Cursor(msgspec.Struct, frozen=True):
    name: str
    cursor: int


_to_cursor = msgspec.json.Decoder(_Cursor)


class JetStreamRelayState(JetStreamLetters):
    """The cursors and dead letters of a log on JetStream. Every method raises LogError."""

    async def load_cursor(self, name: str) -> int | None:
        """The cursor saved under `name`, or None."""
        with as_log_errors(self._stream):
            (message,) = await self._relays.last([self._streams.of_cursor(name)])
        return None if message is None else _cursor_in(message).cursor

    async def save_cursor(self, name: str, cursor: int) -> None:
        """Remember `cursor` under `name`, unless a greater one is: it is stored when this returns."""
        subject = self._streams.of_cursor(name)
        with as_log_errors(self._stream):
            body = msgspec.json.encode(_Cursor(name, cursor))
            for _ in range(_ROUNDS):
                (standing,) = await self._relays.last([subject])
                if standing is not None and _cursor_in(standing).cursor >= cursor:
                    return
                headers = {EXPECTED: str(standing.seq if standing else 0)}
                (receipt,) = await self._relays.write([Request(subject, body, headers)])
                if not receipt.is_outrun:
                    return
            raise Outrun("others save the same cursor all the time")

    async def all_cursors(self) -> Mapping[str, int]:
        """All the cursors that are remembered, by name."""
        cursors: dict[str, int] = {}
        after = 0
        with as_log_errors(self._stream):
            while page := await self._relays.read(after, _PAGE, self._streams.all_cursors):
                cursors.update((each.name, each.cursor) for each in map(_cursor_in, page))
                after = page[-1].seq
        return dict(sorted(cursors.items()))

    async def forget_cursor(self, name: str) -> bool:
        """Forget the cursor saved under `name`; whether there was one."""
        with as_log_errors(self._stream):
            return await self._relays.clear(self._streams.of_cursor(name)) > 0


def _cursor_in(message: Message) -> _Cursor:
    try:
        return _to_cursor.decode(message.data)
    except (ValueError, RecursionError) as error:
        told = f"the cursor on {message.subject} was altered and cannot be read"
        raise LogError(told, permanent=True) from error
