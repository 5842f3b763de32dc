"""Leases of shards, as one instance holds them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Self

import structlog
from structlog.typing import FilteringBoundLogger

from healthprobe.adapters.nats.claims import ClaimedLog, Claims
from healthprobe.adapters.nats.connection import JetStream, Refused, Unanswered
from healthprobe.adapters.nats.errors import told_at_opening
from healthprobe.adapters.nats.heartbeat import Heartbeat, Lapse
from healthprobe.adapters.nats.held_leases import Holdings
from healthprobe.adapters.nats.lease_queue import Lessor
from healthprobe.adapters.nats.membership import Membership
from healthprobe.adapters.nats.ownership_history import Takeovers
from healthprobe.domain.cluster import Instance
from healthprobe.ports import ConfigurationError


class Agreement:
    """Tells once of each instance whose rule is another than `rule`, ours.

    A game would be watched by nobody that is not in the list of whoever has its shard, its verdict would depend on who
    that is, and whom it is told to on who happens to deliver.
    """

    def __init__(self, rule: str, logger: Any) -> None:
        self._rule = rule
        self._logger = logger
        self._told: set[tuple[str, str]] = set()

    def heed(self, others: Iterable[Instance]) -> None:
        """These are there now. Those that tell no rule are of an older version."""
        differing = {(each.instance, each.rule) for each in others if each.rule not in {"", self._rule}}
        for instance, rule in sorted(differing - self._told):
            self._logger.warning(
                "another instance was started with other options", other=instance, theirs=rule, ours=self._rule
            )
        self._told = differing


Settle = Callable[[frozenset[int]], Awaitable[None]]

_SETTLE_WITHIN = 1.0


class Settling:
    """Those who have something to settle. One that fails, or takes longer than a second, is told of and left behind."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._settles: list[Settle] = []

    def add(self, settle: Settle) -> None:
        """Await `settle` with the shards that leave, from now on."""
        self._settles.append(settle)

    async def of(self, shards: frozenset[int]) -> None:
        """Settle what concerns these shards. Raises nothing: whoever settles must not keep them from the others."""
        for settle in self._settles if shards else ():
            try:
                async with asyncio.timeout(_SETTLE_WITHIN):
                    await settle(shards)
            except Exception as error:  # noqa: BLE001  whatever it is
                self._logger.warning("shards are given away unsettled", shards=len(shards), err=repr(error))


class Telling:
    """Tells a log of leases that lapse and are held again, of silence, and of who delivers."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._has_lapsed = False
        self._is_unheard = False
        self._held = 0
        self._delivers = False

    def lapsed(self, shards: int, why: Lapse) -> None:
        """So many shards were lost, for their leases were not renewed."""
        if not self._has_lapsed:
            self._has_lapsed = True
            self._logger.warning(why.value, shards=shards)

    def unheard(self, why: str | None, shards: int) -> None:
        """We could not tell the others anything for the time of a lease, or with None we could.

        Leases that have lapsed were told of already; whoever has none to lose says that it is given none.
        """
        if why is None and self._is_unheard:
            self._is_unheard = False
            self._logger.info("the other instances hear of us")
        elif why is not None and not (self._is_unheard or self._has_lapsed):
            self._is_unheard = True
            self._logger.warning("the other instances do not hear of us", err=why, shards=shards)

    def holds(self, shards: int, *, delivers: bool) -> None:
        """We hold so many now, and deliver or do not."""
        before, self._held = self._held, shards
        if self._has_lapsed and shards > before:
            self._has_lapsed = False
            self._logger.info("leases are held again", shards=shards)
        if delivers != self._delivers:
            self._delivers = delivers
            self._logger.info("delivery is ours" if delivers else "delivery is ours no more")


DEFAULT_LEASE = 5.0
"""How long a lease lasts, in seconds."""

SHORTEST_LEASE = 0.5
RELAY = "relay"
"""The one duty: whoever has it delivers to the publishers, and prunes the log."""

_TRIES = 10

_CLAIM_WITHIN = 1.0
_END_WITHIN = 0.5


class JetStreamLeases:
    """A ShardLeases by leases that JetStream gives. Made by `open`, alive while `run` runs, ended by `aclose`.

    Instances that join are given their share by the others, and what is given back, or not renewed for the time of a
    lease, goes to whoever lacks some. An instance that JetStream does not hear loses its shards to the others, and
    knows that before they have them, by its own clock. `games` tells how many games we probe.
    """

    def __init__(
        self,
        stream: JetStream,
        log: ClaimedLog,
        *,
        lease: float,
        ourselves: Instance,
        games: Callable[[], int],
        logger: FilteringBoundLogger | None,
        monotonic: Callable[[], float],
    ) -> None:
        self._stream = stream
        self._ourselves = ourselves
        self.shard_count = log.shard_count
        self.games = games
        self._logger: Any = (logger or structlog.get_logger()).bind(instance=ourselves.instance)
        self._monotonic = monotonic
        self._claims = Claims(log, self._logger)
        self._takeovers = Takeovers(ourselves.instance, monotonic=monotonic, now=_wall_time)
        self._membership = Membership(stream, ourselves, shards=self.shard_count, monotonic=monotonic)
        self._shards = Holdings(
            Lessor(stream, "shards", [str(shard) for shard in range(self.shard_count)], monotonic),
            lease,
            monotonic,
            admit=self._admit,
            changed=self._on_change,
            lost=self._on_loss,
        )
        self._duties = Holdings(Lessor(stream, "duties", [RELAY], monotonic), lease, monotonic, changed=self._on_change)
        self._duties.quota = 1
        self._heartbeat = Heartbeat(
            self._shards,
            self._duties,
            self._membership,
            lease=lease,
            logger=self._logger,
            monotonic=monotonic,
            document=self._document,
            heed=self._heed,
            unheard=self._on_silence,
        )
        self._tells: list[Callable[[], None]] = []
        self._settling = Settling(self._logger)
        self._agreement = Agreement(ourselves.rule, self._logger)
        self._telling = Telling(self._logger)
        self._is_blind = False

    @classmethod
    async def open(
        cls,
        stream: JetStream,
        log: ClaimedLog,
        *,
        lease: float = DEFAULT_LEASE,
        instance: str | None = None,
        games: Callable[[], int] = lambda: 0,
        rule: str = "",
        logger: FilteringBoundLogger | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Make what is missing at JetStream for leases of `lease` seconds. Nothing is held before `run`.

        `rule` is by what we judge and whom we tell, in words that are the same for all who do so alike.

        Raises ConfigurationError, or LogError where trying again may help.
        """
        if lease < SHORTEST_LEASE:
            raise ConfigurationError(f"a lease of {lease:g}s is too short: give it {SHORTEST_LEASE:g}s at least")
        host, pid = socket.gethostname(), os.getpid()
        name = instance or f"{host}-{pid}-{secrets.token_hex(3)}"
        ourselves = Instance(name, host, pid, _wall_time(), rule=rule)
        leases = cls(stream, log, lease=lease, ourselves=ourselves, games=games, logger=logger, monotonic=monotonic)
        with told_at_opening(stream):
            await leases._heartbeat.prepare(tries=_TRIES)
        return leases

    @property
    def shards(self) -> frozenset[int]:
        return self._shards.numbers

    @property
    def unavailable_for(self) -> float:
        silent_for = self.silent_for
        return silent_for if silent_for > self._heartbeat.lease else 0.0

    @property
    def has_duties(self) -> bool:
        """Whether it is ours to deliver to the publishers and to prune the log."""
        return bool(self._duties.numbers)

    @property
    def instances(self) -> list[Instance]:
        """All that are there, in the order in which they joined: we as we are now, others as of our last beat."""
        ourselves = replace(self._document(), order=self._membership.order)
        return sorted([*self._membership.others, ourselves], key=lambda each: (each.order, each.instance))

    @property
    def silent_for(self) -> float:
        """For how many seconds we could neither tell the others anything nor hear of them."""
        return self._heartbeat.silent_for

    def covers(self, shard: int, started: float) -> bool:
        return self._shards.covers(shard, started)

    async def confirm(self, shards: Collection[int]) -> Collection[int]:
        """Those of `shards` whose lease was renewed just now, also while they wait to be given away. Never raises."""
        try:
            return await self._shards.renew(self._heartbeat.patience, shards)
        except Unanswered:
            return frozenset()

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call `tell` after `shards` or `has_duties` has changed."""
        self._tells.append(tell)

    def before_release(self, settle: Settle) -> None:
        """Await `settle`, for a second at most, with shards that `shards` has no more, before we give them away."""
        self._settling.add(settle)

    def tell_of_sight(self, sees: bool) -> None:  # noqa: FBT001  the one thing that is told
        """Tell the others whether we see: while we do not and somebody does, our shards are theirs."""
        self._is_blind = not sees
        self._heartbeat.beat_at_once()

    async def run(self) -> None:
        """Hold our share, until cancelled. Raises nothing else."""
        await self._heartbeat.run()

    async def give_back_shards(self) -> None:
        """Leave, and hand over all shards for good; in two seconds at most, also where JetStream is away.

        While `run` runs on, we keep a duty that we have.
        """
        self._heartbeat.is_leaving = True
        self._duties.quota = len(self._duties.numbers)
        leaving = self._shards.set_all_aside()
        await asyncio.gather(self._leave(), self._settling.of(leaving))
        self._claims.disclaim(leaving)
        await self._shards.aclose(_END_WITHIN)
        if leaving and self._stream.is_connected:
            self._logger.info("shards given back", shards=len(leaving))

    async def aclose(self) -> None:
        """Leave, and hand over everything at once; in two seconds at most, also where JetStream is away."""
        self._duties.set_all_aside()
        await asyncio.gather(self.give_back_shards(), self._duties.aclose(_END_WITHIN))

    async def _leave(self) -> None:
        with contextlib.suppress(Unanswered, Refused, TimeoutError):
            async with asyncio.timeout(_END_WITHIN):
                await self._membership.leave()

    async def _admit(self, shards: Collection[int]) -> Collection[int]:
        """They are ours once the log takes nothing for them from anybody else any more."""
        claimed = await self._claims.claim(shards, max(self._heartbeat.patience, _CLAIM_WITHIN))
        if claimed:
            holders = self._takeovers.holders_of(claimed)
            cause = self._takeovers.took(claimed, self._heartbeat.seconds)
            self._logger.info("shards taken over", shards=len(claimed), cause=cause, of=holders)
        return claimed

    def _heed(self, tasks: asyncio.TaskGroup) -> None:
        """Yield what others have claimed, or were given, after us, and release what is over our share."""
        others = self._membership.others
        self._takeovers.heed(others)
        self._agreement.heed(others)
        if superseded := self._claims.superseded(others) & self._shards.numbers:
            self._shards.drop(superseded)
            self._claims.disclaim(superseded)
            self._logger.warning("shards were claimed by another instance", shards=len(superseded))
        if outclaimed := self._claims.outclaimed & self._shards.numbers:
            self._takeovers.lost(outclaimed, self._monotonic())
            self._shards.admit_again(outclaimed)
            self._logger.warning("shards were claimed without a lease, and are claimed back", shards=len(outclaimed))
        if self._membership.duties_are_anothers and self.has_duties:
            self._duties.drop(self._duties.numbers)
            self._logger.warning("duties were given to another instance")
        if surplus := self._shards.surplus():
            self._shards.set_aside(surplus)
            tasks.create_task(self._heartbeat.contain(lambda: self._release(surplus)))

    async def _release(self, shards: frozenset[int]) -> None:
        await self._settling.of(shards)
        self._claims.disclaim(shards)
        self._takeovers.lost(shards, self._monotonic())
        await self._shards.give_back(shards, self._heartbeat.patience)
        self._logger.info("shards given back", shards=len(shards))

    def _on_loss(self, shards: frozenset[int]) -> None:
        self._claims.disclaim(shards)
        self._takeovers.lost(shards, self._monotonic() - self._heartbeat.lease)
        if not self._heartbeat.is_leaving:
            self._telling.lapsed(len(shards), self._heartbeat.lapse)

    def _on_silence(self, why: str | None) -> None:
        self._telling.unheard(why, len(self._shards.numbers))

    def _on_change(self) -> None:
        self._telling.holds(len(self._shards.numbers), delivers=self.has_duties)
        for tell in self._tells:
            try:
                tell()
            except Exception:  # whoever listens must not cost us the leases
                self._logger.exception("a change of shards was not heard")

    def _document(self) -> Instance:
        now, shards, renewals = self._monotonic(), sorted(self._shards.numbers), self._shards.renewals
        return replace(
            self._ourselves,
            shards=tuple(shards),
            epochs=self._claims.epochs(shards),
            oldest_renewal=round(now - min(renewals), 3) if renewals else None,
            newest_renewal=round(now - max(renewals), 3) if renewals else None,
            duties=(RELAY,) if self.has_duties else (),
            takeover=self._takeovers.last,
            games=self.games(),
            blind=self._is_blind,
        )


def _wall_time() -> datetime:
    return datetime.now(UTC)
