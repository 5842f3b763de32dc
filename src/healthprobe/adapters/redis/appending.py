"""Appends entries to a stream: by a script that adds each event once, or by plain commands."""

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
"""How long the server remembers that an event was added, in seconds: a repeated delivery comes within minutes."""

# The mark is set after the entry was added: a script that is stopped in between leaves no mark without an entry.
_SCRIPT = """
local stream, seconds, limit, width = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local command = {'XADD', stream, '*'}
if limit ~= '' then command = {'XADD', stream, 'MAXLEN', '~', limit, '*'} end
local fields = #command
for place = 1, width do command[fields + 2 * place - 1] = ARGV[3 + place] end
for number = 2, #KEYS do
  if redis.call('EXISTS', KEYS[number]) == 0 then
    local used = width
    for place = 1, width do
      command[fields + 2 * place] = ARGV[3 + (number - 1) * width + place]
      if place == width and command[fields + 2 * place] == '' then used = width - 1 end
    end
    redis.call('SET', KEYS[number], redis.call(unpack(command, 1, fields + 2 * used)), 'EX', seconds)
  end
end
return #KEYS - 1
"""
_LEFT_OUT = b""
"""The last value of an entry without labels: no other last value is empty."""


class ScriptAppender:
    """Appends by a script that skips events which were added before, by any process."""

    def __init__(self, client: Redis, address: StreamAddress, timeout: float) -> None:
        self._timeout = timeout
        self._script = client.register_script(_SCRIPT)
        self._stream = address.stream
        self._limit = "" if address.maxlen is None else str(address.maxlen)
        self._mark_prefix = mark_prefix(address.stream)

    async def append(self, entries: Sequence[Entry]) -> None:
        """Appends `entries` in order, in one step of the server. Raises RedisError, or OSError after the timeout."""
        keys = [self._stream, *(self._mark_prefix + entry.key for entry in entries)]
        names = max((entry.names for entry in entries), key=len)
        arguments: list[str | int | bytes] = [MARK_SECONDS, self._limit, len(names), *names]
        for entry in entries:
            arguments += entry.values
            arguments += [_LEFT_OUT] * (len(names) - len(entry.values))
        async with asyncio.timeout(self._timeout):
            await self._script(keys, arguments)


class CommandAppender:
    """Appends by one command an entry: an event that is delivered twice is in the stream twice."""

    def __init__(self, client: Redis, address: StreamAddress, timeout: float) -> None:
        self._timeout = timeout
        self._client = client
        bound = [] if address.maxlen is None else ["MAXLEN", "~", address.maxlen]
        self._command = ("XADD", address.stream, *bound, "*")

    async def append(self, entries: Sequence[Entry]) -> tuple[int, RedisError | OSError | None]:
        """Appends `entries`. Returns how many were acknowledged, and the error of the next one.

        Entries after one that failed may have been added, but none of its game.
        """
        appended = 0
        for run in _runs(entries):
            try:
                answers = await self._append_run(run)
            except (RedisError, OSError) as error:
                return appended, error
            for answer in answers:
                if isinstance(answer, RedisError):
                    return appended, answer
                appended += 1
        return appended, None

    async def _append_run(self, run: Sequence[Entry]) -> list[Any]:
        async with asyncio.timeout(self._timeout), self._client.pipeline(transaction=False) as pipeline:
            for entry in run:
                fields = chain.from_iterable(zip(entry.names, entry.values, strict=True))
                pipeline.execute_command(*self._command, *fields)
            return await pipeline.execute(raise_on_error=False)


def _runs(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Yields `entries` in order, cut before each second entry of a game: within a run none can overtake another."""
    first, games = 0, set[str]()
    for number, entry in enumerate(entries):
        if entry.game_id in games:
            yield entries[first:number]
            first, games = number, set()
        games.add(entry.game_id)
    yield entries[first:]


def mark_prefix(stream: str) -> str:
    """Returns the prefix of the keys of the marks of `stream`. A cluster keeps them on the node of the stream.

    A stream name with a hash tag keeps it, any other becomes one. If its braces allow neither, a cluster refuses the
    script.
    """
    tag = stream.partition("{")[2].partition("}")
    return f"{stream}:published:" if tag[0] and tag[1] else f"{{{stream}}}:published:"
