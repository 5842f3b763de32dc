"""The watch: keeps what we know of a bucket as the bucket is, and after whatever broke in on it reads all again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from random import random

from healthprobe.adapters.nats.jetstream import ANSWER_WITHIN, Refused, Unanswered
from healthprobe.adapters.nats.records.bucket import Bucket, Extent
from healthprobe.adapters.nats.records.changes import Change, Changes
from healthprobe.adapters.nats.records.contents import Contents
from healthprobe.domain.schedule import backoff
from healthprobe.ports import StoreError

PATIENCE = 5.0
"""Seconds after which what we know is too old to be told: a leader that dies is replaced in about that time."""

AUDIT_EVERY = 5.0
"""Seconds after which whoever leads the bucket is asked whether we have all of it: a replica that was cut off from the
others is silent as if nothing changed, and keys can vanish without a word."""

_AUDIT_LASTS = 2.0
_LONGEST_WAIT = 0.5
_SHORTEST_CALL = 1.0
_MORE_PATIENCE = 0.25
"""Seconds for an answer, and how many more after each failure. What is asked while nobody leads the bucket is never
answered, and whoever leads it next is to be asked soon."""

_REST = 20
"""A bucket whose keys expire silently is read again and again, and left alone so many times as long as that took."""


class Watch:
    """Keeps `contents` as `bucket` is, in a task of its own from `start` until `aclose`.

    `on_change` is called in a turn of the loop of its own after records have changed, once for all that came together.
    """

    def __init__(self, bucket: Bucket, contents: Contents, on_change: Callable[[], None]) -> None:
        self._bucket = bucket
        self._contents = contents
        self._on_change = on_change
        self._told_revision = contents.revision
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watching: asyncio.Task[None] | None = None
        self._trouble: StoreError | None = None
        self._failures = 0
        self._current_at = 0.0
        self._read_for = 0.0
        self._position = 0
        self._moved = asyncio.Event()
        self._some_expire = False

    async def start(self) -> None:
        """Returns once all of the bucket was read. Raises Unanswered or Refused where that fails at the first try."""
        self._watching = asyncio.create_task(self._run())
        await self._first

    async def aclose(self) -> None:
        """End it."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if not self._first.cancel() and not self._first.cancelled():
            self._first.exception()

    def vouch(self) -> None:
        """Raises StoreError where nobody knows whether what we know is still so."""
        if self._watching is None or self._watching.done():
            raise StoreError("the bucket is not watched any more", permanent=True)
        if self._trouble is not None and time.monotonic() - self._current_at > PATIENCE:
            raise StoreError(str(self._trouble), permanent=self._trouble.permanent)

    async def reach(self, sequence: int) -> None:
        """Wait until we know of the change with this sequence, if it comes in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self._position < sequence:
                    await self._moved.wait()

    async def _run(self) -> None:
        while True:
            try:
                await self._read_and_follow()
            except Exception as error:  # noqa: BLE001  whatever it was, the bucket must not be left unwatched
                if not self._first.done():
                    self._first.set_exception(error)
                    return
                self._note(error)
                await asyncio.sleep(backoff(self._failures, random(), _LONGEST_WAIT))
                self._failures += 1

    async def _read_and_follow(self) -> None:
        """Until there is reason to read all of it again. Raises Unanswered or Refused."""
        begun = time.monotonic()
        within = ANSWER_WITHIN
        if self._first.done():
            within = min(_SHORTEST_CALL + _MORE_PATIENCE * self._failures, ANSWER_WITHIN)
        extent = await self._bucket.extent(within)
        changes = await Changes.open(self._bucket, within)
        try:
            await self._read(changes, extent)
            self._read_for = time.monotonic() - begun
            self._be_well()
            if not self._first.done():
                self._first.set_result(None)
            await self._follow(changes, extent)
        finally:
            await changes.aclose()

    async def _read(self, changes: Changes, extent: Extent) -> None:
        """Take the last value of each key over, and forget what is not there any more.

        A key that is edited meanwhile has its value behind all others: it is not gone before nothing is to come.
        """
        seen: set[str] = set()
        while changes.position < extent.last or changes.pending > 0:
            portion = await changes.next()
            if not portion and changes.pending == 0:
                break  # what was changed last is gone without a marker
            seen.update(change.key for change in portion)
            self._take(portion)
        await self._contents.keep_only(seen)
        self._reach(max(changes.position, extent.last))

    async def _follow(self, changes: Changes, extent: Extent) -> None:
        """Take changes over as they come, and return when the bucket is to be read again."""
        read_at = audited_at = time.monotonic()
        while True:
            self._take(await changes.next())
            self._reach(max(changes.position, self._position))
            if self._current_at - audited_at >= AUDIT_EVERY:
                extent = await self._audit(extent)
                audited_at = time.monotonic()
                if self._forgets(extent) and audited_at - read_at >= max(AUDIT_EVERY, _REST * self._read_for):
                    return

    async def _audit(self, before: Extent) -> Extent:
        """How far the bucket goes. Raises Unanswered where we do not have what it had `before`, or what it has now."""
        known = len(self._contents)
        extent = await self._bucket.extent(_AUDIT_LASTS)
        if self._position < before.last or extent.last < self._position or extent.keys < known:
            raise Unanswered("it does not tell all that changes")
        return extent

    def _forgets(self, extent: Extent) -> bool:
        """Whether keys of this bucket vanish and nobody is told."""
        return (extent.expires or self._some_expire) and not extent.tells_what_expires

    def _take(self, portion: Sequence[Change]) -> None:
        for change in portion:
            if change.value is None:
                self._contents.drop(change.key)
            else:
                self._contents.take(change.key, change.value)
                self._some_expire |= change.expires
        self._tell()

    def _reach(self, position: int) -> None:
        """We know all up to `position`, and there is nothing else at this moment."""
        self._position = position
        self._current_at = time.monotonic()
        self._moved.set()
        self._moved.clear()
        self._tell()

    def _tell(self) -> None:
        if self._told_revision != self._contents.revision:
            self._told_revision = self._contents.revision
            if self._first.done():
                asyncio.get_running_loop().call_soon(self._on_change)

    def _be_well(self) -> None:
        """Who was told of a change while we could not vouch for anything has not seen it: it is told again."""
        was_in_trouble, self._trouble, self._failures = self._trouble is not None, None, 0
        if was_in_trouble:
            asyncio.get_running_loop().call_soon(self._on_change)

    def _note(self, error: Exception) -> None:
        """Keep what went wrong first: an outage is one complaint, whatever each new try meets in it."""
        if isinstance(error, Unanswered | Refused):
            trouble = self._bucket.plain_error(error)
        else:
            trouble = StoreError(f"the watch of the bucket broke: {error!r}; please report it")
        if self._trouble is None or self._trouble.permanent != trouble.permanent:
            self._trouble = trouble
