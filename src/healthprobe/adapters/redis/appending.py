"""Appending: the two ways in which entries enter a stream, once each where the server runs scripts, else error_text."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from healthprobe.adapters.redis.address import StreamAddress
from healthprobe.adapters.redis.entry import Entry

MARK_SECONDS = 86_400
"""How long the server remembers that an event has entered, in seconds: a repeated delivery comes within minutes."""

# The mark is set after its entry stands: whatever stops the script in between leaves no mark without an entry.
_SCRIPT = """
local stream, seconds, limit, width = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local command = {'XADD', stream, '*'}
if limit ~= '' then command = {'XADD', stream, 'MAXLEN', '~', limit, '*'} end
local fields = #command
for place = 1, width do command[fields + 2 * place - 1] = ARGV[3 + place] end
for number = 2, #KEYS do
  if redis.call('EXISTS', KEYS[number]) == 0 then
    for place = 1, width do command[fields + 2 * place] = ARGV[3 + (number - 1) * width + place] end
    redis.call('SET', KEYS[number], redis.call(unpack(command)), 'EX', seconds)
  end
end
return #KEYS - 1
"""


class OnceEach:
    """Appends by a script that passes over events which have entered before, whoever delivered them."""

    def __init__(self, client: Redis, address: StreamAddress, patience: float) -> None:
        self._patience = patience
        self._script = client.register_script(_SCRIPT)
        self._stream = address.stream
        self._limit = "" if address.maxlen is None else str(address.maxlen)
        self._mark = mark_prefix(address.stream)

    async def append(self, entries: Sequence[Entry]) -> None:
        """Append `entries` in order, in one step of the server. Marked are those that entered.

        Raises RedisError, or OSError after `patience` seconds.
        """
        keys = [self._stream, *(self._mark + entry.identity for entry in entries)]
        names = entries[0].names
        arguments: list[str | int | bytes] = [MARK_SECONDS, self._limit, len(names), *names]
        for entry in entries:
            arguments += entry.values
        async with asyncio.timeout(self._patience):
            await self._script(keys, arguments)


class Plainly:
    """Appends by one command an entry: an event that is delivered again stands in the stream again."""

    def __init__(self, client: Redis, address: StreamAddress, patience: float) -> None:
        self._patience = patience
        self._client = client
        bound = [] if address.maxlen is None else ["MAXLEN", "~", address.maxlen]
        self._command = ("XADD", address.stream, *bound, "*")

    async def append(self, entries: Sequence[Entry]) -> tuple[int, RedisError | OSError | None]:
        """Append `entries`: how many of them are known to have entered, and what the next one met.

        Those behind a refused one may have entered, but none of its own game.
        """
        appended = 0
        for run in _runs(entries):
            try:
                answers = await self._append_run(run)
            except (RedisError, OSError) as error:
                return appended, error
            refused = next((number for number, answer in enumerate(answers) if isinstance(answer, RedisError)), None)
            if refused is not None:
                return appended + refused, answers[refused]
            appended += len(run)
        return appended, None

    async def _append_run(self, run: Sequence[Entry]) -> list[Any]:
        async with asyncio.timeout(self._patience), self._client.pipeline(transaction=False) as pipeline:
            for entry in run:
                fields = chain.from_iterable(zip(entry.names, entry.values, strict=True))
                pipeline.execute_command(*self._command, *fields)
            return await pipeline.execute(raise_on_error=False)


def _runs(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """`entries` in order, cut where a game comes again: within a run none can pass an earlier one of its game by."""
    first, games = 0, set[str]()
    for number, entry in enumerate(entries):
        if entry.game_id in games:
            yield entries[first:number]
            first, games = number, set()
        games.add(entry.game_id)
    yield entries[first:]


def mark_prefix(stream: str) -> str:
    """What the keys of the marks of `stream` begin with; in a cluster they live where the stream does.

    A name that has a tag keeps it, any other becomes one. Where its braces allow neither, a cluster refuses the script.
    """
    tag = stream.partition("{")[2].partition("}")
    return f"{stream}:published:" if tag[0] and tag[1] else f"{{{stream}}}:published:"
