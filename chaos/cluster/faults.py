"""The faults that are injected and ended while engines act. Each is reported when it is over."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from chaos.cluster.cast import ClusterCast
from chaos.cluster.form import SPARE
from chaos.faults import HOUR, Fault

_LONGEST_ACT = 5.0
"""Seconds in which every instance very probably appends something."""

_LONGEST_PROOF = 60
"""Faults after which the run gives up showing that fencing is needed."""

Strike = Callable[[ClusterCast], AbstractAsyncContextManager[None]]
"""A fault that lasts as long as the block."""


class _Shown(Exception):
    """The log has an event that it must not have."""


@asynccontextmanager
async def instances_killed(cast: ClusterCast) -> AsyncIterator[None]:
    victims = cast.victims()
    for victim in victims:
        victim.stay_away()
    try:
        yield
    finally:
        for victim in victims:
            victim.come_back()


@asynccontextmanager
async def instances_paused(cast: ClusterCast) -> AsyncIterator[None]:
    victims = cast.victims()
    for victim in victims:
        victim.pause()
    try:
        yield
    finally:
        for victim in victims:
            victim.resume()


@asynccontextmanager
async def instances_cut_off(cast: ClusterCast) -> AsyncIterator[None]:
    victims = cast.victims()
    for victim in victims:
        victim.line.cut()
    try:
        yield
    finally:
        for victim in victims:
            await victim.line.mend()


@asynccontextmanager
async def lines_stalled(cast: ClusterCast) -> AsyncIterator[None]:
    """Stalls in the middle of an append, if one comes: it arrives long after others have taken over."""
    victims = cast.victims()
    try:
        await asyncio.gather(*(victim.line.stall(within=_LONGEST_ACT) for victim in victims))
        yield
    finally:
        for victim in victims:
            victim.line.flow()


@asynccontextmanager
async def instances_leave_and_join(cast: ClusterCast) -> AsyncIterator[None]:
    """One more joins and leaves again, or some of the running ones leave and join again."""
    (spare,) = [instance for instance in cast.instances if instance.name == SPARE]
    joins = not spare.is_present and cast.chance.random() < 0.5
    cast.injected += joins
    changing = [spare] if joins else cast.victims()
    for each in changing:
        each.come_back() if joins else each.stay_away(signal.SIGTERM)
    try:
        yield
    finally:
        for each in changing:
            each.stay_away(signal.SIGTERM) if joins else each.come_back()


@asynccontextmanager
async def all_restarted(cast: ClusterCast) -> AsyncIterator[None]:
    cast.injected += 1
    for instance in cast.present:
        instance.kill()
    yield


@asynccontextmanager
async def leader_killed(cast: ClusterCast) -> AsyncIterator[None]:
    leader = await cast.leader()
    leader.kill()
    try:
        yield
    finally:
        leader.start(wait=False)
    await cast.is_healthy(leader)


@asynccontextmanager
async def leader_paused(cast: ClusterCast) -> AsyncIterator[None]:
    leader = await cast.leader()
    leader.pause()
    try:
        yield
    finally:
        leader.resume()
    await cast.is_healthy(leader)


@asynccontextmanager
async def clocks_step(cast: ClusterCast) -> AsyncIterator[None]:
    """Sets each to an hour ahead, an hour behind, or right: two may be two hours apart."""
    for victim in cast.victims():
        offset = cast.chance.choice((HOUR, -HOUR, 0.0))
        cast.engines.oracle.clock_steps(offset, victim.name)
        victim.clock.step(offset)
    yield


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault, injected as often in its row as is this `part` of the form's strokes.

    While one `lasts`, the other instances must report everything.
    """

    name: str
    title: str
    strike: Strike
    part: float = 1.0
    lasts: bool = True


OF_INSTANCES = (
    Kind("kill", "kill -9 of instances", instances_killed),
    Kind("pause", "SIGSTOP of instances, longer than the lease", instances_paused),
    Kind("cut", "instances cut off from NATS, not from engines", instances_cut_off),
    Kind("stall", "lines to NATS stalled in mid-append, longer than the lease", lines_stalled),
    Kind("join", "instances leave by SIGTERM and join", instances_leave_and_join),
    Kind("restart", "all instances restarted", all_restarted, part=0.25, lasts=False),
    Kind("clock", "wall clocks an hour apart", clocks_step, part=0.5, lasts=False),
)
OF_NODES = (
    Kind("kill-leader", "kill -9 of the log's leader", leader_killed, part=0.2),
    Kind("pause-leader", "SIGSTOP of the log's leader", leader_paused, part=0.2),
)


async def one_by_one(cast: ClusterCast, kind: Kind) -> None:
    async with cast.changing_engines():
        while cast.injected < _share(cast, kind.part):
            await cast.wait_at_most(cast.form.rest)
            async with kind.strike(cast):
                if kind.lasts:
                    await cast.others_report_everything()
            await cast.settles()
    await cast.silence()


async def two_at_once(cast: ClusterCast, part: float) -> None:
    """Any two of all kinds, one within the other, but never two nodes away: then there would be no cluster."""
    async with cast.changing_engines():
        while cast.injected < _share(cast, part):
            outer = cast.chance.choice((*OF_INSTANCES, *OF_NODES))
            inner = cast.chance.choice(OF_INSTANCES)
            await cast.wait_at_most(cast.form.rest)
            async with outer.strike(cast):
                await cast.wait_at_most(cast.form.lease)
                async with inner.strike(cast):
                    await asyncio.sleep(cast.longer_than_a_lease())
                await cast.wait_at_most(cast.form.lease)
            await cast.settles()
    await cast.silence()


async def without_a_fence(cast: ClusterCast, part: float) -> None:
    """What a fence is for, in turn, until the log shows it; that is an end in the middle of an act."""
    with suppress(_Shown):
        async with cast.changing_engines():
            while cast.injected < _LONGEST_PROOF:
                for strike in (lines_stalled, instances_paused):
                    async with strike(cast):
                        await cast.others_report_everything()
                    await cast.wait_at_most(cast.form.lease)
                    if cast.injected >= _share(cast, part) and await cast.is_broken():
                        raise _Shown


def _share(cast: ClusterCast, part: float) -> int:
    return max(round(cast.form.strokes * part), 1)


FAULTS: tuple[Fault[ClusterCast], ...] = (
    *(Fault(kind.name, kind.title, partial(one_by_one, kind=kind)) for kind in (*OF_INSTANCES, *OF_NODES)),
    Fault("two", "two of all these at once", partial(two_at_once, part=1.5)),
)
WITHOUT_A_FENCE = Fault(
    "unfenced", "without fencing: lines stalled, instances paused", partial(without_a_fence, part=0.25)
)

NAMES = [*(fault.name for fault in FAULTS), WITHOUT_A_FENCE.name]
"""What `--only` knows."""
