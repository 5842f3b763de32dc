"""What relays must remember: how far each got, as messages that are replaced on condition and never go back."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from healthprobe.adapters.nats.jetstream import Request
from healthprobe.adapters.nats.log.fences import EXPECTED
from healthprobe.adapters.nats.log.leader import Message
from healthprobe.adapters.nats.log.letters import JetStreamLetters
from healthprobe.adapters.nats.refusals import Outrun, told_plainly
from healthprobe.ports import LogError

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
        with told_plainly(self._stream):
            (message,) = await self._relays.last([self._streams.of_cursor(name)])
        return None if message is None else _cursor_in(message).cursor

    async def save_cursor(self, name: str, cursor: int) -> None:
        """Remember `cursor` under `name`, unless a greater one is: it is stored when this returns."""
        subject = self._streams.of_cursor(name)
        with told_plainly(self._stream):
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
        with told_plainly(self._stream):
            while page := await self._relays.read(after, _PAGE, self._streams.all_cursors):
                cursors.update((each.name, each.cursor) for each in map(_cursor_in, page))
                after = page[-1].seq
        return dict(sorted(cursors.items()))

    async def forget_cursor(self, name: str) -> bool:
        """Forget the cursor saved under `name`; whether there was one."""
        with told_plainly(self._stream):
            return await self._relays.clear(self._streams.of_cursor(name)) > 0


def _cursor_in(message: Message) -> _Cursor:
    try:
        return _to_cursor.decode(message.data)
    except (ValueError, RecursionError) as error:
        told = f"the cursor on {message.subject} was altered and cannot be read"
        raise LogError(told, permanent=True) from error
