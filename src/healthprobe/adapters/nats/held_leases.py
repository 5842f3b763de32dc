"""The leases of one queue that this instance holds, and until when, by its own clock alone."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, replace

from healthprobe._util.aio import AutoResetEvent
from healthprobe.adapters.nats.connection import Unanswered
from healthprobe.adapters.nats.lease_queue import Grant, LeaseQueue
from healthprobe.domain.cluster import Lease

_SHORTEST_ALARM = 0.001


@dataclass(slots=True)
class _Held:
    grant: Grant
    lease: Lease


class HeldLeases:
    """At most `quota` leases of `queue`. All times are monotonic seconds.

    A lease *arrives*, is *ours* once it was admitted, and *leaves* until it is given back; it is renewed in all three
    states. An expired lease is dropped before anything else is done: the queue would accept its renewal, and might have
    given it to another instance. Sets `changed` when `numbers` has changed or an admitted lease has expired.
    """

    def __init__(
        self, queue: LeaseQueue, lasts: float, monotonic: Callable[[], float], changed: AutoResetEvent
    ) -> None:
        self.quota = 0
        self.queue = queue
        self._lasts = lasts
        self._monotonic = monotonic
        self._changed = changed
        self._arriving: dict[int, _Held] = {}
        self._ours: dict[int, _Held] = {}
        self._leaving: dict[int, _Held] = {}
        self._expired: set[int] = set()
        self._is_admitting = False
        self._numbers: frozenset[int] = frozenset()
        self._first_end = math.inf
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def numbers(self) -> frozenset[int]:
        """The leases that are ours now."""
        self.drop_expired()
        return self._numbers

    @property
    def renewals(self) -> list[float]:
        """When each of ours was last renewed."""
        return [held.lease.renewed_at for held in self._ours.values()]

    def covers(self, number: int, started: float) -> bool:
        """Returns whether a lease has been ours since `started`."""
        held = self._ours.get(number)
        return held is not None and held.lease.covers(started, self._monotonic())

    def set_duration(self, lasts: float) -> None:
        """Leases last so long from now on, those that are held too."""
        self._lasts = lasts
        for held in self._all().values():
            held.lease = replace(held.lease, lasts=lasts)
        self._set_alarm()

    def drop_expired(self) -> None:
        """Drops the leases whose end has passed."""
        now = self._monotonic()
        if now >= self._first_end:
            gone = self._remove(number for number, held in self._all().items() if not held.lease.is_valid(now))
            self._note_expired(gone)
            self._update_numbers()

    def take_expired(self) -> frozenset[int]:
        """Returns the admitted leases that have expired since the last call."""
        self.drop_expired()
        expired, self._expired = frozenset(self._expired), set()
        return expired

    def drop(self, numbers: Collection[int]) -> None:
        """Drops these without giving them back."""
        self._remove(numbers)
        self._update_numbers()

    async def renew(self, within: float, numbers: Collection[int] | None = None) -> frozenset[int]:
        """Renews these, or all; returns those that were admitted and renewed in time. Raises Unanswered."""
        sent_at = self._monotonic()
        self.drop_expired()
        asked = {number: held for number, held in self._all().items() if numbers is None or number in numbers}
        await self.queue.renew([held.grant for held in asked.values()], within)
        self.drop_expired()
        for held in asked.values():
            held.lease = held.lease.renewed(sent_at)
        self._set_alarm()
        admitted = {**self._ours, **self._leaving}
        return frozenset(number for number, held in asked.items() if admitted.get(number) is held)

    async def request_missing(self, expires: float) -> None:
        """Requests as many leases as the quota has room for, less those requested already. Raises Unanswered."""
        missing = self._room - self.queue.outstanding
        if missing > 0:
            await self.queue.request(missing, expires)

    async def take(
        self, admit: Callable[[Collection[int]], Awaitable[Collection[int]]], within: float, rest: float
    ) -> None:
        """Waits for leases; holds those that `admit` returns, and gives back the others within so many seconds.

        If some were not admitted it sleeps for `rest` seconds: the queue gives them to us again at once.
        """
        grants = await self.queue.granted()
        self.drop_expired()
        await self.queue.give_back([grant for grant in grants if not self._accept(grant)], within)
        self._set_alarm()
        if arriving := frozenset(self._arriving):
            self._is_admitting = True
            try:
                admitted, _ = await asyncio.gather(admit(arriving), self._renew_arriving(arriving, within))
            except Exception:  # what stayed in _arriving would be renewed for ever, and its games never probed
                await self.queue.give_back(self._conclude(arriving, ()), within)
                raise
            finally:
                self._is_admitting = False
            refused = self._conclude(arriving, admitted)
            await self.queue.give_back(refused, within)
            await asyncio.sleep(rest if refused else 0.0)

    def surplus(self) -> frozenset[int]:
        """Returns those of ours that the quota leaves no room for: the last that came."""
        in_order = sorted(self._ours, key=lambda number: (self._ours[number].lease.acquired_at, number))
        return frozenset(in_order[self.quota :])

    def set_aside(self, numbers: Collection[int]) -> None:
        """Marks these as leaving: not ours any more, and still renewed."""
        for number in numbers:
            if (held := self._ours.pop(number, None)) is not None:
                self._leaving[number] = held
        self._update_numbers()

    def admit_again(self, numbers: Collection[int]) -> None:
        """Marks these as arriving: they are ours again once they were admitted."""
        for number in numbers:
            if (held := self._ours.pop(number, None)) is not None:
                self._arriving[number] = held
        self.queue.wake_up()
        self._update_numbers()

    async def give_back(self, numbers: Collection[int], within: float) -> None:
        """Gives back those of these that were set aside, within so many seconds."""
        self.drop_expired()
        leaving = [held.grant for number in numbers if (held := self._leaving.pop(number, None)) is not None]
        self._set_alarm()
        await self.queue.give_back(leaving, within)

    def set_all_aside(self) -> frozenset[int]:
        """Sets aside all that are ours, accepts no more, and returns all that are leaving."""
        self.quota = 0
        self.set_aside(self._numbers)
        return frozenset(self._leaving)

    async def aclose(self, within: float) -> None:
        """Ends all requests, and gives back what was set aside and what still arrives, within so many seconds.

        A lease that is just being admitted is given back by `take`, if that still runs.
        """
        late = await self.queue.aclose()
        self.drop_expired()
        leaving = {**self._leaving, **({} if self._is_admitting else self._arriving)}
        self._remove(leaving)
        grants = [held.grant for held in leaving.values()] + [grant for grant in late if self._is_valid(grant)]
        await self.queue.give_back(grants, within)

    @property
    def _room(self) -> int:
        return self.quota - len(self._arriving) - len(self._ours)

    def _accept(self, grant: Grant) -> bool:
        """Accepts it, or returns False if there is no room. Drops one that came too late: it is not ours any more."""
        if not self._is_valid(grant):
            return True
        number = grant.number
        held = self._ours.get(number) or self._arriving.get(number) or self._leaving.get(number)
        if held is not None:
            held.grant = grant
        elif self._room > 0:
            self._arriving[number] = _Held(grant, Lease(grant.asked_at, grant.asked_at, self._lasts))
        else:
            return False
        return True

    def _is_valid(self, grant: Grant) -> bool:
        return self._monotonic() < grant.asked_at + self._lasts

    async def _renew_arriving(self, arriving: Collection[int], within: float) -> None:
        """Renews them once: they may have been under way for long."""
        with contextlib.suppress(Unanswered):
            await self.renew(within, arriving)

    def _conclude(self, arriving: Collection[int], admitted: Collection[int]) -> list[Grant]:
        """Holds those of `arriving` that were admitted, and returns those to be given back."""
        self.drop_expired()
        now = self._monotonic()
        refused, in_vain = [], set(admitted)
        for number in arriving:
            held = self._arriving.pop(number, None)
            if held is None:
                continue  # it has expired meanwhile
            if number in admitted and self.quota > 0:
                held.lease = replace(held.lease, acquired_at=now)
                self._ours[number] = held
                in_vain.discard(number)
            else:
                refused.append(held.grant)
        self._note_expired(in_vain)
        self._update_numbers()
        return refused

    def _all(self) -> dict[int, _Held]:
        return {**self._arriving, **self._ours, **self._leaving}

    def _remove(self, numbers: Iterable[int]) -> frozenset[int]:
        """Removes these and returns those of them that were admitted."""
        gone = set()
        for number in list(numbers):
            if self._ours.pop(number, None) or self._leaving.pop(number, None):
                gone.add(number)
            self._arriving.pop(number, None)
        self._set_alarm()
        return frozenset(gone)

    def _note_expired(self, numbers: Collection[int]) -> None:
        if numbers:
            self._expired.update(numbers)
            self._changed.set()

    def _update_numbers(self) -> None:
        if self._ours.keys() != self._numbers:
            self._numbers = frozenset(self._ours)
            self._changed.set()

    def _set_alarm(self) -> None:
        """Drops the first lease that expires on time, even if nothing asks for it."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None
        self._first_end = min((held.lease.ends_at for held in self._all().values()), default=math.inf)
        if self._first_end < math.inf:
            delay = max(self._first_end - self._monotonic(), _SHORTEST_ALARM)
            self._alarm = asyncio.get_running_loop().call_later(delay, self._on_alarm)

    def _on_alarm(self) -> None:
        self.drop_expired()
        self._set_alarm()
