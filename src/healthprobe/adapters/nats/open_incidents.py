"""The open incidents in the log on JetStream: the last message of each game, and then what is new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from healthprobe.adapters.nats.bucket_watch import Changes
from healthprobe.adapters.nats.connection import ANSWER_WITHIN, JetStream
from healthprobe.adapters.nats.stored_events import decode_event, standing_of
from healthprobe.adapters.nats.stream_leader import Message, StreamLeader
from healthprobe.adapters.nats.streams import LogStreams
from healthprobe.domain.event import AlteredEvent, EventType, HealthEvent

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class _Events:
    stream: JetStream
    stream_name: str


class OpenIncidents:
    """The last event of each game whose last event is a `probe_failed`. Raises Unanswered or Refused.

    The first `current` reads the last message of every game, later ones read only what is new in the log.
    """

    def __init__(self, stream: JetStream, leader: StreamLeader, streams: LogStreams) -> None:
        self._events = _Events(stream, streams.events)
        self._leader = leader
        self._streams = streams
        self._through = 0
        self._open: dict[str, HealthEvent] = {}
        self._one_at_a_time = asyncio.Lock()

    async def current(self) -> Mapping[str, HealthEvent]:
        """Returns the open incidents by game."""
        async with self._one_at_a_time:
            newest = await self._leader.newest(self._streams.all_events)
            end = 0 if newest is None else newest.seq
            if end < self._through:  # somebody emptied the log
                self._through = 0
            if self._through == 0:
                self._open.clear()
                await self._read_all()
            async for page in self._pages():
                await self._apply(page)
                self._through = page[-1].seq
            return {event.game_id: event for event in self._open.values() if event.game_id}

    async def _read_all(self) -> None:
        """Reads the last message of each game from a replica, which may be behind the leader.

        It has all up to the last message that it gave: what came after that is read from the leader.
        """
        changes = await Changes.open(self._events, ANSWER_WITHIN, self._streams.all_events)
        try:
            while changes.pending > 0:
                batch = await changes.next()
                await self._apply(
                    Message(changes.revision, self._streams.of_key(change.key), change.value)
                    for change in batch
                    if change.value is not None
                )
        finally:
            await changes.aclose()
        self._through = changes.revision

    async def _pages(self) -> AsyncIterator[Sequence[Message]]:
        while page := await self._leader.read(self._through, _PAGE):
            yield page

    async def _apply(self, page: Iterable[Message]) -> None:
        """Applies messages in the order of the log; what an unreadable one stands for is asked of its game."""
        unclear: set[str] = set()
        for message in page:
            if self._streams.is_event(message.subject):
                event = decode_event(message, self._streams)
                if isinstance(event, AlteredEvent):
                    unclear.add(message.subject)
                else:
                    self._set(message.subject, event)
        await self._look_at(list(unclear))

    async def _look_at(self, subjects: Sequence[str]) -> None:
        for subject, stands in (await standing_of(self._leader, self._streams, subjects)).items():
            self._set(subject, stands.event)

    def _set(self, subject: str, event: HealthEvent) -> None:
        if event.event_type is EventType.PROBE_FAILED:
            self._open[subject] = event
        else:
            self._open.pop(subject, None)
