"""The holdings: what a lessor has given to us, and until when, by our own clock alone."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, replace

from healthprobe.adapters.nats.connection import Unanswered
from healthprobe.adapters.nats.lease_queue import Grant, Lessor
from healthprobe.domain.cluster import Lease

Admit = Callable[[Collection[int]], Awaitable[Collection[int]]]
"""Which of these, that were just given to us, become ours. Raises nothing."""

_SHORTEST_ALARM = 0.001


async def _every_one(numbers: Collection[int]) -> Collection[int]:
    return numbers


def _ignore(_: frozenset[int]) -> None: ...


@dataclass(slots=True)
class _Held:
    grant: Grant
    lease: Lease


class Holdings:
    """The leases that one lessor has given to us, at most `quota` of them. All times are monotonic seconds.

    One that arrives is ours once it was admitted, and is set aside before it is given back; in all three states it is
    renewed. One whose end has passed is dropped before anything else is done: its lessor would take a renewal, and
    might have given it to somebody else. `changed` is called after `numbers` has changed, and before that `lost` with
    those that were admitted and have lapsed.
    """

    def __init__(
        self,
        lessor: Lessor,
        lasts: float,
        monotonic: Callable[[], float],
        *,
        admit: Admit = _every_one,
        changed: Callable[[], None],
        lost: Callable[[frozenset[int]], None] = _ignore,
    ) -> None:
        self.quota = 0
        self.lessor = lessor
        self._lasts = lasts
        self._monotonic = monotonic
        self._admit = admit
        self._changed = changed
        self._lost = lost
        self._arriving: dict[int, _Held] = {}
        self._ours: dict[int, _Held] = {}
        self._aside: dict[int, _Held] = {}
        self._is_admitting = False
        self._numbers: frozenset[int] = frozenset()
        self._first_end = math.inf
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def numbers(self) -> frozenset[int]:
        """Those that are ours now."""
        self.drop_lapsed()
        return self._numbers

    @property
    def renewals(self) -> list[float]:
        """When those were renewed."""
        return [held.lease.renewed_at for held in self._ours.values()]

    def covers(self, number: int, started: float) -> bool:
        """Whether it was ours from `started` on, and still is."""
        held = self._ours.get(number)
        return held is not None and held.lease.covers(started, self._monotonic())

    def last_for(self, lasts: float) -> None:
        """Leases last so long now, those that we have, too."""
        self._lasts = lasts
        for held in self._all().values():
            held.lease = replace(held.lease, lasts=lasts)
        self._await_end()

    def drop_lapsed(self) -> None:
        """Drop those whose end has passed."""
        now = self._monotonic()
        if now >= self._first_end:
            gone = self._remove(number for number, held in self._all().items() if not held.lease.is_valid(now))
            if gone:
                self._lost(gone)
            self._tell()

    def drop(self, numbers: Collection[int]) -> None:
        """Let go of these, without a word to their lessor."""
        self._remove(numbers)
        self._tell()

    async def renew(self, within: float, numbers: Collection[int] | None = None) -> frozenset[int]:
        """Renew these, or all; those that were admitted, and were renewed in time. Raises Unanswered."""
        sent_at = self._monotonic()
        self.drop_lapsed()
        asked = {number: held for number, held in self._all().items() if numbers is None or number in numbers}
        await self.lessor.renew([held.grant for held in asked.values()], within)
        self.drop_lapsed()
        for held in asked.values():
            held.lease = held.lease.renewed(sent_at)
        self._await_end()
        admitted = {**self._ours, **self._aside}
        return frozenset(number for number, held in asked.items() if admitted.get(number) is held)

    async def ask_for_more(self, patience: float) -> None:
        """Ask for what the quota leaves room for and was not asked for yet. Raises Unanswered."""
        missing = self._room - self.lessor.outstanding
        if missing > 0:
            await self.lessor.ask_for(missing, patience)

    async def take(self, within: float, *, rest: float = 0.0) -> None:
        """Wait for what is given, and admit it, or give it back within so many seconds.

        Where some of it is not admitted, rest for so long: it is given to us again at once, and refused again.
        """
        grants = await self.lessor.granted()
        self.drop_lapsed()
        await self.lessor.give_back([grant for grant in grants if not self._has_room_for(grant)], within)
        self._await_end()
        if arriving := dict(self._arriving):
            self._is_admitting = True
            try:
                admitted, _ = await asyncio.gather(self._admit(frozenset(arriving)), self._refresh(arriving, within))
            except Exception:  # a fault of the log's: what stayed here would be renewed for ever, and watched by nobody
                await self.lessor.give_back(self._conclude(arriving, ()), within)
                raise
            finally:
                self._is_admitting = False
            refused = self._conclude(arriving, admitted)
            await self.lessor.give_back(refused, within)
            await asyncio.sleep(rest if refused else 0.0)

    def surplus(self) -> frozenset[int]:
        """Those of ours that the quota leaves no room for: the last that came."""
        in_order = sorted(self._ours, key=lambda number: (self._ours[number].lease.acquired_at, number))
        return frozenset(in_order[self.quota :])

    def set_aside(self, numbers: Collection[int]) -> None:
        """These are not ours any more, and nobody else's yet: they are still renewed."""
        for number in numbers:
            if (held := self._ours.pop(number, None)) is not None:
                self._aside[number] = held
        self._tell()

    def admit_again(self, numbers: Collection[int]) -> None:
        """These are not ours before they were admitted once more. Their leases last on."""
        for number in numbers:
            if (held := self._ours.pop(number, None)) is not None:
                self._arriving[number] = held
        self.lessor.rouse()
        self._tell()

    async def give_back(self, numbers: Collection[int], within: float) -> None:
        """Give back those of these that were set aside, within so many seconds."""
        self.drop_lapsed()
        leaving = [held.grant for number in numbers if (held := self._aside.pop(number, None)) is not None]
        self._await_end()
        await self.lessor.give_back(leaving, within)

    def set_all_aside(self) -> frozenset[int]:
        """Set aside all that is ours, and take nothing any more; what is set aside now."""
        self.quota = 0
        self.set_aside(self._numbers)
        return frozenset(self._aside)

    async def aclose(self, within: float) -> None:
        """Give back what was set aside and what still arrives, within so many seconds, and ask for nothing any more.

        What is just being admitted is given back by `take`, if that still runs.
        """
        late = await self.lessor.aclose()
        self.drop_lapsed()
        leaving = {**self._aside, **({} if self._is_admitting else self._arriving)}
        self._remove(leaving)
        grants = [held.grant for held in leaving.values()] + [grant for grant in late if self._is_valid(grant)]
        await self.lessor.give_back(grants, within)

    @property
    def _room(self) -> int:
        return self.quota - len(self._arriving) - len(self._ours)

    def _has_room_for(self, grant: Grant) -> bool:
        """Take it, unless there is no room. One that came too late is neither taken nor to be given back."""
        if not self._is_valid(grant):
            return True
        number = grant.number
        held = self._ours.get(number) or self._arriving.get(number) or self._aside.get(number)
        if held is not None:
            held.grant = grant
        elif self._room > 0:
            self._arriving[number] = _Held(grant, Lease(grant.asked_at, grant.asked_at, self._lasts))
        else:
            return False
        return True

    def _is_valid(self, grant: Grant) -> bool:
        return self._monotonic() < grant.asked_at + self._lasts

    async def _refresh(self, arriving: Collection[int], within: float) -> None:
        """Renew them once: they may have been on their way for long."""
        with contextlib.suppress(Unanswered):
            await self.renew(within, arriving)

    def _conclude(self, arriving: dict[int, _Held], admitted: Collection[int]) -> list[Grant]:
        """Those of `arriving` that were admitted are ours from now on; what is to be given back."""
        self.drop_lapsed()
        now = self._monotonic()
        refused, in_vain = [], set(admitted)
        for number, held in arriving.items():
            if self._arriving.pop(number, None) is None:
                continue  # it has lapsed meanwhile
            if number in admitted and self.quota > 0:
                held.lease = replace(held.lease, acquired_at=now)
                self._ours[number] = held
                in_vain.discard(number)
            else:
                refused.append(held.grant)
        if in_vain:
            self._lost(frozenset(in_vain))
        self._tell()
        return refused

    def _all(self) -> dict[int, _Held]:
        return {**self._arriving, **self._ours, **self._aside}

    def _remove(self, numbers: Iterable[int]) -> frozenset[int]:
        """Forget these; those of them that were admitted."""
        gone = set()
        for number in list(numbers):
            if self._ours.pop(number, None) or self._aside.pop(number, None):
                gone.add(number)
            self._arriving.pop(number, None)
        self._await_end()
        return frozenset(gone)

    def _tell(self) -> None:
        if self._ours.keys() != self._numbers:
            self._numbers = frozenset(self._ours)
            self._changed()

    def _await_end(self) -> None:
        """Be there when the first of them ends, though nobody asks."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None
        self._first_end = min((held.lease.ends_at for held in self._all().values()), default=math.inf)
        if self._first_end < math.inf:
            delay = max(self._first_end - self._monotonic(), _SHORTEST_ALARM)
            self._alarm = asyncio.get_running_loop().call_later(delay, self._on_alarm)

    def _on_alarm(self) -> None:
        self.drop_lapsed()
        self._await_end()
