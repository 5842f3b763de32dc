"""Events as messages of the stream: a message that another program altered or published hides no other.

JetStream never changes a message. What cannot be read was published by another program: the game goes on from the last
message that can, unless it is the very next event of the game, deleted and published again in another form.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from healthprobe._util.text import shorten
from healthprobe.adapters.nats.stream_leader import Message, StreamLeader
from healthprobe.adapters.nats.streams import LogStreams
from healthprobe.domain.event import AlteredEvent, HealthEvent, altered_event

_AT_ONCE = 16
"""Games whose messages are looked through at the same time."""

_LONGEST_SUBJECT = 200


def encode_event(event: HealthEvent) -> bytes:
    """Returns the event as JSON. Raises UnicodeEncodeError for lone surrogates."""
    return msgspec.json.encode(event.as_document())


def decode_event(message: Message, streams: LogStreams) -> HealthEvent:
    """Returns the event in `message`, or an AlteredEvent if it is not what healthprobe publishes on its subject."""
    document: Any = None
    try:
        document = msgspec.json.decode(message.data)
        return _event_in(document, message.subject, streams)
    except (ValueError, RecursionError) as error:
        return _altered(message, streams, document if isinstance(document, dict) else {}, error)


def _event_in(document: Any, subject: str, streams: LogStreams) -> HealthEvent:
    event = HealthEvent.from_document(document)
    if streams.of_game(event.game_id) != subject:
        raise ValueError("its subject is not that of its game")
    return event


def _altered(message: Message, streams: LogStreams, document: Mapping[str, Any], error: Exception) -> AlteredEvent:
    """Returns what can be known of a message: the game by its subject, and the rest if it names the same game."""
    game_id, sequence = document.get("game_id"), document.get("sequence")
    is_of_game = isinstance(game_id, str) and streams.of_game(game_id) == message.subject
    if is_of_game and type(sequence) is int and sequence >= 1:
        return altered_event(document, f"at {message.seq} in the log", error)
    event = altered_event({"game_id": streams.game_of(message.subject)}, "", error)
    where = f"at {message.seq} in the log, on {shorten(message.subject, _LONGEST_SUBJECT)}"
    return replace(event, problem=f"the message {where} was altered and cannot be read: {shorten(str(error), 200)}")


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands on the subject of a game: the cursor of its last message, and the last event.

    `kept` is the cursor of the message that has that event, or 0: an unreadable last message can be of no event.
    """

    cursor: int
    event: HealthEvent
    kept: int


async def standing_of(leader: StreamLeader, streams: LogStreams, subjects: Sequence[str]) -> dict[str, Standing]:
    """Returns what stands on each of `subjects` that has messages. Raises Unanswered or Refused."""
    standing: dict[str, Standing] = {}
    altered: list[tuple[Message, AlteredEvent]] = []
    for message in await leader.last(subjects):
        if message is not None:
            event = decode_event(message, streams)
            standing[message.subject] = Standing(message.seq, event, message.seq)
            if isinstance(event, AlteredEvent):
                altered.append((message, event))
    for first in range(0, len(altered), _AT_ONCE):
        chunk = altered[first : first + _AT_ONCE]
        found = await asyncio.gather(*(_look_back(leader, streams, message, event) for message, event in chunk))
        standing.update((message.subject, each) for (message, _), each in zip(chunk, found, strict=True))
    return standing


async def _look_back(leader: StreamLeader, streams: LogStreams, last: Message, event: AlteredEvent) -> Standing:
    """Returns what stands on a subject whose `last` message cannot be read."""
    unreadable = [(last.seq, event)]
    while page := await leader.preceding(unreadable[-1][0], last.subject):
        for message in reversed(page):
            earlier = decode_event(message, streams)
            if not isinstance(earlier, AlteredEvent):
                return _followed_by(Standing(message.seq, earlier, message.seq), unreadable)
            unreadable.append((message.seq, earlier))
    return _followed_by(None, unreadable)


def _followed_by(readable: Standing | None, unreadable: Sequence[tuple[int, AlteredEvent]]) -> Standing:
    """Returns what stands after the last `readable` event and unreadable messages, of which the newest is first.

    One counts as an event of the game if it has the next sequence, or any if nothing before it can be read.
    """
    stands = readable
    for cursor, event in reversed(unreadable):
        if event.sequence and (stands is None or event.sequence == stands.event.sequence + 1):
            stands = Standing(cursor, event, cursor)
    cursor, newest = unreadable[0]
    if stands is None:
        return Standing(cursor, newest, 0)
    last = stands.event
    event = AlteredEvent(last.sequence, last.game_id, last.container_id, last.occurred_at, last.details, newest.problem)
    return Standing(cursor, event, stands.kept)


@dataclass(slots=True)
class _Search:
    """The event has a cursor from `lowest` to `highest`, if it is there."""

    subject: str
    sequence: int
    lowest: int
    highest: int

    @property
    def middle(self) -> int:
        return (self.lowest + self.highest) // 2


async def find_earlier(
    leader: StreamLeader, streams: LogStreams, sought: Sequence[tuple[int, str, int]]
) -> list[HealthEvent]:
    """Returns events that are in the log, by binary search. Raises Unanswered or Refused.

    Each of `sought` is the cursor of the game's last message, its subject, and the sequence of an earlier event.
    """
    found: list[HealthEvent] = []
    searches = [_Search(subject, sequence, 1, last - 1) for last, subject, sequence in sought]
    while searches := [search for search in searches if search.lowest <= search.highest]:
        entries = await _readable_from(leader, streams, [(search.middle, search.subject) for search in searches])
        for search, entry in zip(searches, entries, strict=True):
            if entry is None or entry.event.sequence > search.sequence:
                search.highest = search.middle - 1
            elif entry.event.sequence < search.sequence:
                search.lowest = entry.cursor + 1
            else:
                found.append(entry.event)
                search.lowest = search.highest + 1
    return found


async def _readable_from(
    leader: StreamLeader, streams: LogStreams, starts: Sequence[tuple[int, str]]
) -> list[Standing | None]:
    """Returns for each cursor and subject the first event from there on that can be read."""
    entries: list[Standing | None] = [None] * len(starts)
    sought = dict(enumerate(starts))
    while sought:
        messages = await leader.following(list(sought.values()))
        for number, message in zip(list(sought), messages, strict=True):
            _, subject = sought.pop(number)
            if message is not None:
                event = decode_event(message, streams)
                if isinstance(event, AlteredEvent):
                    sought[number] = (message.seq + 1, subject)
                else:
                    entries[number] = Standing(message.seq, event, message.seq)
    return entries
