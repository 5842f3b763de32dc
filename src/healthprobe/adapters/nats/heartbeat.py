"""The heartbeat: renew, tell the others, see who is there, ask for what our share lacks. Five times in a lease."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

from healthprobe.adapters.nats.connection import Refused, Unanswered
from healthprobe.adapters.nats.held_leases import Holdings
from healthprobe.adapters.nats.membership import Membership
from healthprobe.adapters.nats.streams import SOON
from healthprobe.domain.cluster import Instance

BEATS = 5
"""How many beats there are in a lease."""

_NEWS_IN_A_BEAT = 10
"""How often at most a beat comes early: a whole fleet may start at once."""

_BEFORE_ANOTHER_TRY = 0.1
"""Seconds until what is missing is asked for again."""

_STILL = 0.4
"""A beat that is overdue by this part of a lease is no fault of JetStream's."""


class Lapse(Enum):
    """Why leases were not renewed in time, as it is told."""

    STOOD_STILL = "leases lapsed: this process stood still"
    SHORTENED = "leases lapsed: another instance was started with a shorter --lease"
    UNHEARD = "leases lapsed: JetStream cannot be reached"


class Heartbeat:
    """Beats for the leases of `shards` and `duties`, which last `lease` seconds. JetStream never stops it.

    `document` is what we tell of ourselves. At each beat `heed` is called once it is known who is there and `shards`
    has its quota; it may only begin things in the tasks that it is given. `unheard` is told why, at each beat, once we
    could not tell anything for the time of a lease, and None where we could. With `is_leaving` set it renews what we
    have and does nothing else.
    """

    def __init__(
        self,
        shards: Holdings,
        duties: Holdings,
        membership: Membership,
        *,
        lease: float,
        logger: Any,
        monotonic: Callable[[], float],
        document: Callable[[], Instance],
        heed: Callable[[asyncio.TaskGroup], None],
        unheard: Callable[[str | None], None],
    ) -> None:
        self.lease = lease
        self._began_at = self._heard_at = monotonic()
        self._began_under = lease
        self._shards = shards
        self._duties = duties
        self._membership = membership
        self._logger = logger
        self._monotonic = monotonic
        self._document = document
        self._heed = heed
        self._unheard = unheard
        self.is_leaving = False
        self._in_doubt = False
        self._missing_because = ""
        self._news = asyncio.Event()
        self._new_terms = asyncio.Event()

    @property
    def seconds(self) -> float:
        """From one beat to the next."""
        return self.lease / BEATS

    @property
    def silent_for(self) -> float:
        """For how many seconds we could neither tell the others anything nor hear of them."""
        return self._monotonic() - self._heard_at

    @property
    def lapse(self) -> Lapse:
        """Why leases lapse that do so now."""
        if self._monotonic() - self._began_at > self._began_under / BEATS + _STILL * self.lease:
            return Lapse.STOOD_STILL
        return Lapse.SHORTENED if self._began_under > self.lease else Lapse.UNHEARD

    def beat_at_once(self) -> None:
        """Tell the others what we are before the next beat is due."""
        self._news.set()

    @property
    def patience(self) -> float:
        """How long an answer is waited for, in seconds: one that is lost must not cost us the lease."""
        return 2 * self.seconds

    async def prepare(self, *, tries: int = 1) -> None:
        """Make what is missing at JetStream. Raises Unanswered or Refused.

        What an instance that starts with us makes at this moment, not every server knows: we try again soon.
        """
        while True:
            tries -= 1
            try:
                await self._make()
                states = [await holdings.lessor.inspect(SOON) for holdings in (self._shards, self._duties)]
            except Unanswered:
                if tries <= 0:
                    raise
                await asyncio.sleep(_BEFORE_ANOTHER_TRY)
            else:
                for error in (state.error for state in states if state.error is not None):
                    raise error
                return

    async def _make(self) -> None:
        await self._membership.prepare(self.seconds)
        before = [await holdings.lessor.prepare(self.lease) for holdings in (self._shards, self._duties)]
        if others := [lasted for lasted in before if lasted is not None]:
            self._logger.info("leases last as long as asked for now", seconds=self.lease, before=others[0])

    async def run(self) -> None:
        """Beat until cancelled, and at once where somebody comes or leaves. Raises nothing else."""
        self._heard_at = self._monotonic()
        await self.contain(lambda: self._membership.listen(self._news.set))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._at_every_beat(self._renew, or_at=self._new_terms))
            tasks.create_task(self._at_every_beat(lambda: self._be_heard(tasks), or_at=self._news))
            for holdings in (self._shards, self._duties):
                tasks.create_task(self._take_from(holdings))

    async def contain(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do it; whatever happens, the next beat comes."""
        try:
            await act()
        except (Unanswered, Refused) as error:
            self._logger.debug("JetStream does not do as asked", err=str(error))
        except Exception:  # of a collaborator, or our own
            self._logger.exception("a beat failed")

    async def _at_every_beat(self, act: Callable[[], Awaitable[None]], or_at: asyncio.Event | None = None) -> None:
        news = or_at or asyncio.Event()
        while True:
            began = self._monotonic()
            news.clear()
            await self.contain(act)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, began + self.seconds - self._monotonic())):
                    await news.wait()
            await asyncio.sleep(max(0.0, began + self.seconds / _NEWS_IN_A_BEAT - self._monotonic()))

    async def _take_from(self, holdings: Holdings) -> None:
        while True:
            await self.contain(lambda: holdings.take(self.patience, rest=self.seconds))
            await self.contain(lambda: holdings.ask_for_more(self.seconds))

    async def _renew(self) -> None:
        """Waits for nothing but the lessor, who may be there while all else is away."""
        self._shards.drop_lapsed()
        self._began_at, self._began_under = self._monotonic(), self.lease
        await asyncio.gather(self._shards.renew(self.patience), self._duties.renew(self.patience))
        await self._ask_for_more()

    async def _be_heard(self, tasks: asyncio.TaskGroup) -> None:
        try:
            await self._attend(tasks)
        except (Unanswered, Refused) as error:
            if self.silent_for >= self.lease and not self.is_leaving:
                self._unheard(str(error))
            raise
        self._unheard(None)

    async def _attend(self, tasks: asyncio.TaskGroup) -> None:
        if self._in_doubt and not self.is_leaving:
            await self._make()
        self._in_doubt = True
        try:
            async with asyncio.timeout(self.patience):
                await self._learn_terms()
                if not self.is_leaving:
                    await self._membership.tell(self._document(), self.seconds)
        except TimeoutError:
            raise Unanswered(f"no answer within {self.patience:g}s") from None
        self._in_doubt = False
        self._heard_at = self._monotonic()
        if not self.is_leaving:
            self._shards.quota = self._membership.share
            self._heed(tasks)
            await self._ask_for_more()

    async def _ask_for_more(self) -> None:
        for holdings in (self._shards, self._duties):
            await holdings.ask_for_more(self.seconds)

    async def _learn_terms(self) -> None:
        """Another instance may have been started with another lease: what JetStream counts by is what holds."""
        states = await asyncio.gather(self._shards.lessor.inspect(), self._duties.lessor.inspect())
        error = next((str(state.error) for state in states if state.error is not None), "")
        if error and error != self._missing_because:
            self._logger.warning("missing leases cannot be put back: no instance holds their shards", err=error)
        self._missing_because = error
        for lasts in (state.lasts for state in states):
            if lasts != self.lease:
                self._logger.info("leases last as long as another instance asked for", seconds=lasts, before=self.lease)
                self.lease = lasts
                self._shards.last_for(lasts)
                self._duties.last_for(lasts)
                self._new_terms.set()  # a beat of longer leases would outlast those that we have now
