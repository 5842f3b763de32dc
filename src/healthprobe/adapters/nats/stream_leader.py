"""Reads from the leader of a stream, many at once, and conditional writes to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from healthprobe.adapters.nats.connection import AT_ONCE, JetStream, Refused, Request
from healthprobe.adapters.nats.errors import CONFLICTS, IN_FLIGHT, NO_MESSAGE, NOT_DELETED
from healthprobe.adapters.nats.streams import EXPECTED

EVERYTHING = ">"

_PORTION = AT_ONCE - 2
_DISTANCES = (0, *(2**power for power in range(11)))
"""Distances before the newest message at which `newest` looks at once: a fleet makes 256 claims in a row."""

_PAGE = 500
_NARROWEST = 8
"""The fewest sequences that are read together where a stream has become sparse."""


CONDITION = f"\r\n{EXPECTED}".encode()
"""What is in the headers of a message that was published under a condition."""


class Message(msgspec.Struct, frozen=True):
    """A stored message, its sequence and its headers."""

    seq: int
    subject: str
    data: bytes = b""
    hdrs: bytes = b""

    @property
    def had_condition(self) -> bool:
        """Whether it was published under a condition, as all of ours are: it came right after what its writer knew."""
        return CONDITION in self.hdrs


class _Error(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = "it does not say why"


class _Answer(msgspec.Struct, frozen=True):
    message: Message | None = None
    error: _Error | None = None


class Ack(msgspec.Struct, frozen=True):
    """The answer to a published message: its sequence, or the error because another message came first."""

    seq: int = 0
    duplicate: bool = False
    error: _Error | None = None

    @property
    def is_rejected(self) -> bool:
        """Whether it was not stored now: another message came first, or it was stored before."""
        return self.duplicate or self.error is not None

    @property
    def is_in_flight(self) -> bool:
        """Whether the message that came first is still in flight, and may not be stored."""
        return self.error is not None and self.error.err_code in IN_FLIGHT


_to_answer = msgspec.json.Decoder(_Answer)
_to_ack = msgspec.json.Decoder(Ack)


class StreamLeader:
    """The leader of the stream `name`. Every method raises Unanswered or Refused.

    For a moment, a server that was paused still takes itself for the leader, and returns old messages. A write under a
    condition that follows from those is rejected.
    """

    def __init__(self, stream: JetStream, name: str) -> None:
        self._stream = stream
        self._name = name

    async def last(self, subjects: Sequence[str]) -> list[Message | None]:
        """Returns the last message of each of `subjects`, which may have wildcards."""
        return await self._ask([{"last_by_subj": subject} for subject in subjects])

    async def following(self, starts: Sequence[tuple[int, str]]) -> list[Message | None]:
        """Returns for each sequence and subject, which may have wildcards, the first message from there on."""
        return await self._ask([next_at(seq, subject) for seq, subject in starts])

    async def newest(self, subject: str) -> Message | None:
        """Returns the last message of `subject`, which may have wildcards.

        Looks among the last messages of the stream first: for `last_by_subj` with wildcards a server goes through every
        subject that it has.
        """
        (tail,) = await self.last([EVERYTHING])
        if tail is None:
            return None
        starts = [max(1, tail.seq - distance) for distance in _DISTANCES]
        found = await self.following([(start, subject) for start in starts])
        nearest = next((number for number, message in enumerate(found) if message is not None), None)
        if nearest is None:
            return (await self.last([subject]))[0]
        newest, behind = found[nearest], starts[nearest - 1] if nearest else tail.seq + 1
        while newest is not None and newest.seq + 1 < behind:
            middle = (newest.seq + 1 + behind) // 2
            (message,) = await self.following([(middle, subject)])
            newest, behind = (newest, middle) if message is None else (message, behind)
        return newest

    async def preceding(self, seq: int, subject: str) -> list[Message]:
        """Returns the last messages of `subject` before the sequence `seq`, in order: at least one if there is any.

        Looks just before `seq` first, and then by bisection.
        """
        starts = [(start, subject) for start in range(max(1, seq - _NARROWEST), seq)]
        there = {each.seq: each for each in await self.following(starts) if each is not None and each.seq < seq}
        if there:
            return [there[key] for key in sorted(there)]
        newest: list[Message] = []
        lowest, behind = 1, seq
        while lowest < behind:
            middle = (lowest + behind) // 2
            (message,) = await self.following([(middle, subject)])
            if message is None or message.seq >= seq:
                behind = middle
            else:
                newest, lowest = [message], message.seq + 1
        return newest

    async def read(self, after: int, limit: int, subject: str = EVERYTHING) -> list[Message]:
        """Returns at most `limit` messages after the sequence `after` whose subject matches, in order."""
        first, tail = await self._ask([next_at(after + 1, subject), {"last_by_subj": EVERYTHING}])
        found = [] if first is None else [first]
        width = _PORTION
        while found and tail is not None and len(found) < limit and found[-1].seq < tail.seq:
            start = found[-1].seq + 1
            width = min(width, limit - len(found), tail.seq - start + 1)
            page = await self._ask([next_at(start + number, subject) for number in range(width)])
            there = {message.seq: message for message in page if message is not None}
            found += there.values()
            if page[-1] is None:
                break
            width = min(max(_NARROWEST, 4 * len(there)), _PORTION)
        return found[:limit]

    async def last_of_each(self, subjects: str) -> Collection[Message]:
        """Returns the last message of each subject that matches `subjects`, in a stream that keeps one of each.

        One that is replaced meanwhile moves to the end of the stream, and is read there again.
        """
        found: dict[str, Message] = {}
        after = 0
        while page := await self.read(after, _PAGE, subjects):
            found.update((message.subject, message) for message in page)
            after = page[-1].seq
        return found.values()

    async def write(self, requests: Sequence[Request]) -> list[Ack]:
        """Publishes messages in order, each with a condition in its headers; returns their acks.

        Raises Refused if one was refused for another reason than that another message came first.
        """
        acks = [_to_ack.decode(answer) for answer in await self._stream.ask(requests)]
        for ack in acks:
            if ack.error is not None and ack.error.err_code not in CONFLICTS:
                raise Refused(ack.error.err_code, ack.error.description)
        return acks

    async def delete(self, sequences: Sequence[int]) -> int:
        """Deletes the messages with these sequences; returns how many existed."""
        subject = f"$JS.API.STREAM.MSG.DELETE.{self._name}"
        bodies = [msgspec.json.encode({"seq": seq, "no_erase": True}) for seq in sequences]
        deleted = 0
        for answer in await self._stream.ask([Request(subject, body) for body in bodies]):
            error = _to_ack.decode(answer).error
            if error is None:
                deleted += 1
            elif error.err_code not in NOT_DELETED:
                raise Refused(error.err_code, error.description)
        return deleted

    async def purge(self, subject: str) -> int:
        """Deletes all messages of `subject`; returns how many there were."""
        response = await self._stream.call(f"STREAM.PURGE.{self._name}", {"filter": subject})
        purged: int = response["purged"]
        return purged

    async def _ask(self, queries: Sequence[Mapping[str, Any]]) -> list[Message | None]:
        messages: list[Message | None] = []
        for first in range(0, len(queries), _PORTION):
            messages += await self._ask_portion(queries[first : first + _PORTION])
        return messages

    async def _ask_portion(self, queries: Sequence[Mapping[str, Any]]) -> list[Message | None]:
        subject = f"$JS.API.STREAM.MSG.GET.{self._name}"
        requests = [Request(subject, msgspec.json.encode(query)) for query in queries]
        return [_message_in(answer) for answer in await self._stream.ask(requests)]


def next_at(seq: int, subject: str) -> Mapping[str, Any]:
    """Returns the request for the first message from `seq` on whose subject matches."""
    return {"seq": seq, "next_by_subj": subject}


def _message_in(answer: bytes) -> Message | None:
    response = _to_answer.decode(answer)
    if response.error is not None and response.error.err_code != NO_MESSAGE:
        raise Refused(response.error.err_code, response.error.description)
    return response.message
