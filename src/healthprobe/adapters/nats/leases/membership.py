"""The membership: our place among the instances that are there, and with it our share of the shards."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from healthprobe.adapters.nats.jetstream import JetStream
from healthprobe.adapters.nats.leases.instances import BEATS_TO_LIVE, Presence
from healthprobe.domain.instance import Instance
from healthprobe.domain.shard import fair_share

_BEATS_OF_SILENCE = 1.5
"""After how many beats without a word of ours the others may have been as silent."""


class Membership:
    """Tells what we are, and reads what the others tell. JetStream alone decides who is gone: it forgets them.

    Where we could not tell it anything for a while, perhaps nobody could, and all are forgotten: whoever was not heard
    to leave is then given the time to tell again, each of them once, for where JetStream is slow we are late at every
    beat, and who is dead must be gone all the same. All methods raise Unanswered and Refused.
    """

    def __init__(self, stream: JetStream, ourselves: Instance, *, shards: int, monotonic: Callable[[], float]) -> None:
        self._presence = Presence(stream, ourselves.instance)
        self._ourselves = ourselves
        self._shards = shards
        self._monotonic = monotonic
        self._present: dict[str, Instance] = {ourselves.instance: ourselves}
        self._told_at = math.inf
        self._believed_from = 0.0
        self._missed: dict[str, float] = {}

    async def prepare(self, beat: float) -> None:
        """Make what is needed for members that tell something every `beat` seconds."""
        await self._presence.prepare(beat)

    async def tell(self, ourselves: Instance, beat: float) -> None:
        """Tell that this is what we are now, and look who is there."""
        await self._tell(ourselves)
        present = {each.instance: each for each in await self._presence.read()}
        present[ourselves.instance] = self._ourselves
        now = self._monotonic()
        silence, longest = now - self._told_at, _BEATS_OF_SILENCE * beat
        if silence > longest:
            self._believed_from = now + BEATS_TO_LIVE * beat
        self._told_at = now
        if now < self._believed_from:
            self._miss(self._present.keys() - present.keys(), min(silence, longest))
            missed = (name for name, seconds in self._missed.items() if seconds < BEATS_TO_LIVE * beat)
            present |= {name: self._present[name] for name in missed if not self._presence.has_departed(name)}
        else:
            self._missed.clear()
            self._presence.forget_departures()
        self._present = present

    async def listen(self, tell: Callable[[], None]) -> None:
        """Call `tell` as soon as somebody comes or leaves."""
        await self._presence.listen(tell)

    async def leave(self) -> None:
        """Be gone."""
        await self._presence.leave()

    def _miss(self, names: Collection[str], seconds: float) -> None:
        """These are still not there, `seconds` later. A new one is missed from now on."""
        self._missed = {name: self._missed[name] + seconds if name in self._missed else 0.0 for name in names}

    @property
    def order(self) -> int:
        """Our place in the order of joining; 0 before we have joined."""
        return self._ourselves.order

    @property
    def others(self) -> Sequence[Instance]:
        """All that are there but ourselves."""
        return [each for each in self._present.values() if each.instance != self._ourselves.instance]

    @property
    def duties_are_anothers(self) -> bool:
        """Whether somebody has taken over, after us, the duties that we have told to have."""
        since = self._ourselves.duties_since
        return bool(since) and any(each.duties_since > since for each in self.others)

    @property
    def share(self) -> int:
        """How many shards are ours to have: those who are blind leave them to those who see, if anybody does."""
        in_order = sorted(self._present.values(), key=lambda each: (each.order, each.instance))
        names = [each.instance for each in in_order if not each.blind] or [each.instance for each in in_order]
        ours = self._ourselves.instance
        return fair_share(names.index(ours), len(names), self._shards) if ours in names else 0

    async def _tell(self, ourselves: Instance) -> None:
        """Whoever joins, or takes over the duties, does so at the place of the first document that it tells of it."""
        before = self._ourselves
        since = before.duties_since if ourselves.duties else 0
        ourselves = replace(ourselves, order=before.order, duties_since=since)
        self._ourselves = ourselves.placed(await self._presence.put(ourselves))
