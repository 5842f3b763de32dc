"""Up to date: a leader that is never believed when it tells what is older than what is known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from healthprobe.adapters.nats.jetstream import JetStream, Request, Unanswered
from healthprobe.adapters.nats.log.leader import EVERYTHING, Leader, Message, Receipt, next_at

_PAUSES = (0.0, 0.05, 0.2, 0.5)
"""Seconds before each try to have an answer from where the newest known message is: a former leader soon gives up."""


class UpToDateLeader(Leader):
    """Tells nothing that is older than what it has told, or taken, before.

    Before and after all else it is asked for the newest place that we know of. What comes from a server on which that
    is missing does not count.
    """

    def __init__(self, stream: JetStream, name: str) -> None:
        super().__init__(stream, name)
        self._known = 0

    async def write(self, requests: Sequence[Request]) -> list[Receipt]:
        """As of any leader; what was taken is known."""
        receipts = await super().write(requests)
        self._known = max(self._known, *(receipt.seq for receipt in receipts), 0)
        return receipts

    async def _ask_portion(self, questions: Sequence[Mapping[str, Any]]) -> list[Message | None]:
        known = self._known
        messages = await self._ask_behind(known, questions) if known else await super()._ask_portion(questions)
        self._known = max(self._known, *(message.seq for message in messages if message is not None), 0)
        return messages

    async def _ask_behind(self, known: int, questions: Sequence[Mapping[str, Any]]) -> list[Message | None]:
        proof = next_at(known, EVERYTHING)
        messages: list[Message | None] = []
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            before, *messages, after = await super()._ask_portion([proof, *questions, proof])
            if before is not None and after is not None:
                return messages
            state = (await self._stream.call(f"STREAM.INFO.{self._name}"))["state"]
            if state["last_seq"] < known:
                raise Unanswered("what it tells is older than what we know; if it was made anew, restart healthprobe")
        self._known = 0  # all who answer agree: somebody has removed the end of the stream
        return messages
