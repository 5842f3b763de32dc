"""The leader: what it alone knows of a stream, asked many questions at once, and what it takes on a condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from healthprobe.adapters.nats.connection import AT_ONCE, JetStream, Refused, Request
from healthprobe.adapters.nats.errors import IN_PROCESS, NO_MESSAGE, NOT_DELETED, OUTRUN

EVERYTHING = ">"

_PORTION = AT_ONCE - 2
_DISTANCES = (0, *(2**power for power in range(11)))
"""How far before the newest message of all one of a certain kind is sought at once: a fleet claims 256 in a row."""

_NARROWEST = 8
"""The fewest places that are looked at together where a stream has become sparse."""


class Message(msgspec.Struct, frozen=True):
    """What stands at the place `seq` of a stream."""

    seq: int
    subject: str
    data: bytes = b""


class _Error(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = "it does not say why"


class _Answer(msgspec.Struct, frozen=True):
    message: Message | None = None
    error: _Error | None = None


class Receipt(msgspec.Struct, frozen=True):
    """What became of a message that was sent: it has entered at `seq`, or it was outrun."""

    seq: int = 0
    duplicate: bool = False
    error: _Error | None = None

    @property
    def is_outrun(self) -> bool:
        """It did not enter now: another one did before, or it did so itself."""
        return self.duplicate or self.error is not None

    @property
    def is_in_process(self) -> bool:
        """What has outrun it is still on its way, and may not arrive."""
        return self.error is not None and self.error.err_code in IN_PROCESS


_to_answer = msgspec.json.Decoder(_Answer)
_to_receipt = msgspec.json.Decoder(Receipt)


class Leader:
    """The leader of the stream `name`. Every method raises Unanswered or Refused.

    For a moment, a server that was paused still takes itself for the leader, and tells what was true before. What is
    written on a condition that it tells of is refused then.
    """

    def __init__(self, stream: JetStream, name: str) -> None:
        self._stream = stream
        self._name = name

    async def last(self, subjects: Sequence[str]) -> list[Message | None]:
        """The last message of each of `subjects`, which may have wildcards."""
        return await self._ask([{"last_by_subj": subject} for subject in subjects])

    async def following(self, places: Sequence[tuple[int, str]]) -> list[Message | None]:
        """For each place and subject, which may have wildcards, the first message there or behind it."""
        return await self._ask([next_at(seq, subject) for seq, subject in places])

    async def newest(self, subject: str) -> Message | None:
        """The last message whose subject matches, which may have wildcards.

        It is looked for among the last ones of all first: a server asked for it alone looks at every subject there is.
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

    async def read(self, after: int, limit: int, subject: str = EVERYTHING) -> list[Message]:
        """At most `limit` messages behind `after` whose subject matches, in order."""
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

    async def write(self, requests: Sequence[Request]) -> list[Receipt]:
        """Send messages in order, each with its condition in its headers; what became of each.

        Raises Refused where one was refused for another reason than that it was outrun.
        """
        receipts = [_to_receipt.decode(answer) for answer in await self._stream.ask(requests)]
        for receipt in receipts:
            if receipt.error is not None and receipt.error.err_code not in OUTRUN:
                raise Refused(receipt.error.err_code, receipt.error.description)
        return receipts

    async def delete(self, places: Sequence[int]) -> int:
        """Remove what stands at these places; at how many of them something did."""
        subject = f"$JS.API.STREAM.MSG.DELETE.{self._name}"
        bodies = [msgspec.json.encode({"seq": seq, "no_erase": True}) for seq in places]
        deleted = 0
        for answer in await self._stream.ask([Request(subject, body) for body in bodies]):
            error = _to_receipt.decode(answer).error
            if error is None:
                deleted += 1
            elif error.err_code != NOT_DELETED:
                raise Refused(error.err_code, error.description)
        return deleted

    async def clear(self, subject: str) -> int:
        """Remove all messages of `subject`; how many there were."""
        told = await self._stream.call(f"STREAM.PURGE.{self._name}", {"filter": subject})
        cleared: int = told["purged"]
        return cleared

    async def _ask(self, questions: Sequence[Mapping[str, Any]]) -> list[Message | None]:
        messages: list[Message | None] = []
        for first in range(0, len(questions), _PORTION):
            messages += await self._ask_portion(questions[first : first + _PORTION])
        return messages

    async def _ask_portion(self, questions: Sequence[Mapping[str, Any]]) -> list[Message | None]:
        subject = f"$JS.API.STREAM.MSG.GET.{self._name}"
        requests = [Request(subject, msgspec.json.encode(question)) for question in questions]
        return [_message_in(answer) for answer in await self._stream.ask(requests)]


def next_at(seq: int, subject: str) -> Mapping[str, Any]:
    """The question for the first message at `seq` or behind it whose subject matches."""
    return {"seq": seq, "next_by_subj": subject}


def _message_in(answer: bytes) -> Message | None:
    told = _to_answer.decode(answer)
    if told.error is not None and told.error.err_code != NO_MESSAGE:
        raise Refused(told.error.err_code, told.error.description)
    return told.message
