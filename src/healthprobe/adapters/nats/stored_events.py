"""Events as messages of the stream: a message that another program altered or published hides no other.

JetStream never changes a message. What cannot be read was published by another program, and so was what came without a
condition: neither is an event, unless it is the very next one of its game, deleted and published again. The game goes
on from the last message that is one.
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
from healthprobe.domain.event import AlteredEvent, EventType, HealthEvent, altered_event

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
    doubtful: list[tuple[Message, HealthEvent]] = []
    for message in await leader.last(subjects):
        if message is not None:
            event = decode_event(message, streams)
            standing[message.subject] = Standing(message.seq, event, message.seq)
            if is_doubtful(message, event):
                doubtful.append((message, event))
    for first in range(0, len(doubtful), _AT_ONCE):
        chunk = doubtful[first : first + _AT_ONCE]
        before = await asyncio.gather(*(_standing_before(leader, streams, message) for message, _ in chunk))
        for (message, event), stood in zip(chunk, before, strict=True):
            standing[message.subject] = _standing_with(message, event, stood)
    return standing


async def events_in(leader: StreamLeader, streams: LogStreams, messages: Sequence[Message]) -> list[HealthEvent]:
    """Returns the event in each of `messages`, which are in order: an AlteredEvent where it is none of its game.

    Asks the leader only about messages of other programs. Raises Unanswered or Refused.
    """
    events: list[HealthEvent] = []
    standing: dict[str, Standing | None] = {}
    for message in messages:
        event = decode_event(message, streams)
        if is_doubtful(message, event):
            if message.subject not in standing:
                standing[message.subject] = await _standing_before(leader, streams, message)
            stood = standing[message.subject]
            standing[message.subject] = _next_after(stood, message, event)
            if stood is not None and not isinstance(event, AlteredEvent) and standing[message.subject] is stood:
                event = _out_of_turn(message, event, stood)
        else:
            standing[message.subject] = Standing(message.seq, event, message.seq)
        events.append(event)
    return events


def is_doubtful(message: Message, event: HealthEvent) -> bool:
    """Whether another program published `message`, which has `event`: nothing says that it is the next of its game."""
    return isinstance(event, AlteredEvent) or not message.had_condition


async def _standing_before(leader: StreamLeader, streams: LogStreams, last: Message) -> Standing | None:
    """Returns what stood on the subject of `last` before it, or None if nothing there was an event."""
    doubtful: list[tuple[Message, HealthEvent]] = []
    behind = last.seq
    while page := await leader.preceding(behind, last.subject):
        for message in reversed(page):
            event = decode_event(message, streams)
            if not is_doubtful(message, event):
                return _after(Standing(message.seq, event, message.seq), doubtful)
            doubtful.append((message, event))
        behind = page[0].seq
    return _after(None, doubtful)


def _after(stood: Standing | None, doubtful: Sequence[tuple[Message, HealthEvent]]) -> Standing | None:
    """Returns what stands after `doubtful` messages, of which the newest is first."""
    for message, event in reversed(doubtful):
        stood = _next_after(stood, message, event)
    return stood


def _next_after(stood: Standing | None, message: Message, event: HealthEvent) -> Standing | None:
    """Returns what stands after a doubtful message.

    It is an event of its game if it has the next sequence and the next type, or any if nothing before it is one.
    """
    if event.sequence and (stood is None or (event.sequence == stood.event.sequence + 1 and _alternate(event, stood))):
        return Standing(message.seq, event, message.seq)
    return stood


def _alternate(event: HealthEvent, stood: Standing) -> bool:
    is_failed, was_failed = (each.event_type is EventType.PROBE_FAILED for each in (event, stood.event))
    return is_failed is not was_failed


def _standing_with(last: Message, event: HealthEvent, stood: Standing | None) -> Standing:
    """Returns what stands on a subject whose `last` message is doubtful, and on which `stood` is what was before it."""
    stands = _next_after(stood, last, event)
    if stands is None:
        return Standing(last.seq, event, 0)
    if isinstance(event, AlteredEvent):
        problem = event.problem
    elif stood is not None and stands is stood:
        problem = _out_of_turn(last, event, stood).problem
    else:
        return stands
    state = stands.event
    event = AlteredEvent(
        state.sequence,
        state.game_id,
        state.container_id,
        state.occurred_at,
        state.details,
        problem,
        labels=state.labels,
    )
    return Standing(last.seq, event, stands.kept)


def _out_of_turn(message: Message, event: HealthEvent, stood: Standing) -> AlteredEvent:
    """Returns what stands for `event`, which another program published and which does not follow what `stood`."""
    number, last = event.sequence, stood.event.sequence
    is_next = number == last + 1
    why = (
        f"it is a {event.event_type} after another" if is_next else f"its sequence is {number}, and {last + 1} was next"
    )
    return altered_event(event.as_document(), f"at {message.seq} in the log", why)


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
                if not isinstance(event, AlteredEvent) and is_doubtful(message, event):
                    (event,) = await events_in(leader, streams, [message])
                if isinstance(event, AlteredEvent):
                    sought[number] = (message.seq + 1, subject)
                else:
                    entries[number] = Standing(message.seq, event, message.seq)
    return entries
