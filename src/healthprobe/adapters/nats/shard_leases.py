"""The leases of one instance: it holds its share of the shards, and the duty to deliver if that is its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

import structlog
from structlog.typing import FilteringBoundLogger

from healthprobe._util.aio import AutoResetEvent
from healthprobe.adapters.nats.connection import JetStream, Refused, Unanswered
from healthprobe.adapters.nats.errors import errors_at_opening
from healthprobe.adapters.nats.fencing import FencedLog
from healthprobe.adapters.nats.held_leases import HeldLeases
from healthprobe.adapters.nats.lease_queue import LeaseQueue
from healthprobe.adapters.nats.membership import InstanceStream, Membership, OwnershipHistory, RuleCheck
from healthprobe.adapters.nats.streams import SOON
from healthprobe.domain.cluster import Instance
from healthprobe.ports import ConfigurationError, LogError

DEFAULT_LEASE = 5.0
"""How long a lease lasts, in seconds."""

SHORTEST_LEASE = 0.5
RELAY = "relay"
"""The one duty: the instance that has it delivers to the publishers, and prunes the log."""

BEATS = 5
"""Heartbeats in the time of a lease."""

_EARLY_BEATS = 10
"""A heartbeat that comes early keeps this part of the interval from the last: a whole fleet may start at once."""

_STALL = 0.4
"""A heartbeat that is late by this part of a lease is not JetStream's fault."""

_TRIES = 10
_BEFORE_ANOTHER_TRY = 0.1

_CLAIM_WITHIN = 1.0
_RELEASE_WITHIN = 1.0
_END_WITHIN = 0.5


class JetStreamLeases:
    """A ShardLeases whose leases are given by JetStream. Made by `open`, alive while `run` runs, ended by `aclose`.

    At each heartbeat it renews its leases, publishes its document, reads those of the others, gives back what is over
    its share and requests what it lacks. An instance that JetStream does not hear knows by its own clock that it has
    lost its shards, before others are given them. `games` returns the number of games that this instance probes.
    """

    def __init__(
        self,
        stream: JetStream,
        log: FencedLog,
        *,
        lease: float,
        ourselves: Instance,
        games: Callable[[], int],
        logger: FilteringBoundLogger | None,
        monotonic: Callable[[], float],
    ) -> None:
        self.shard_count = log.shard_count
        self._stream = stream
        self._log = log
        self._lease = lease
        self._ourselves = ourselves
        self._games = games
        self._logger: Any = (logger or structlog.get_logger()).bind(instance=ourselves.instance)
        self._monotonic = monotonic
        self._changed = AutoResetEvent()
        names = [str(shard) for shard in range(self.shard_count)]
        self._shards = HeldLeases(LeaseQueue(stream, "shards", names, monotonic), lease, monotonic, self._changed)
        self._duties = HeldLeases(LeaseQueue(stream, "duties", [RELAY], monotonic), lease, monotonic, self._changed)
        self._duties.quota = 1
        self._presence = InstanceStream(stream, ourselves.instance)
        self._membership = Membership(self._presence, ourselves, shards=self.shard_count, monotonic=monotonic)
        self._history = OwnershipHistory(ourselves.instance, monotonic=monotonic, now=_wall_time)
        self._rules = RuleCheck(ourselves.rule, self._logger)
        self._listeners: list[Callable[[], None]] = []
        self._before_release: list[Callable[[frozenset[int]], Awaitable[None]]] = []
        self._beat_now = asyncio.Event()
        self._lease_changed = asyncio.Event()
        self._renewing_since = self._heard_at = monotonic()
        self._renewing_under = lease
        self._must_prepare = False
        self._is_leaving = False
        self._is_blind = False
        self._reported: tuple[frozenset[int], bool] = frozenset(), False
        self._has_lapsed = False
        self._is_unheard = False
        self._claim_error = ""
        self._missing_error = ""

    @classmethod
    async def open(
        cls,
        stream: JetStream,
        log: FencedLog,
        *,
        lease: float = DEFAULT_LEASE,
        instance: str | None = None,
        games: Callable[[], int] = lambda: 0,
        rule: str = "",
        logger: FilteringBoundLogger | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Creates what JetStream needs for leases of `lease` seconds. Holds nothing before `run`.

        `rule` describes the options that all instances must share, in words that are the same where they are.

        Raises ConfigurationError, or LogError where trying again may help.
        """
        if lease < SHORTEST_LEASE:
            raise ConfigurationError(f"a lease of {lease:g}s is too short: give it {SHORTEST_LEASE:g}s at least")
        host, pid = socket.gethostname(), os.getpid()
        name = instance or f"{host}-{pid}-{secrets.token_hex(3)}"
        ourselves = Instance(name, host, pid, _wall_time(), rule=rule)
        leases = cls(stream, log, lease=lease, ourselves=ourselves, games=games, logger=logger, monotonic=monotonic)
        with errors_at_opening(stream):
            for tries_left in reversed(range(_TRIES)):
                try:
                    await leases._prepare()
                    states = [await held.queue.inspect(SOON) for held in (leases._shards, leases._duties)]
                    break
                except Unanswered:  # not every server knows yet what another instance has just created
                    if not tries_left:
                        raise
                    await asyncio.sleep(_BEFORE_ANOTHER_TRY)
            for error in (state.error for state in states if state.error is not None):
                raise error
        return leases

    @property
    def shards(self) -> frozenset[int]:
        return self._shards.numbers

    @property
    def unavailable_for(self) -> float:
        silent_for = self.silent_for
        return silent_for if silent_for > self._lease else 0.0

    @property
    def has_duties(self) -> bool:
        """Whether this instance delivers to the publishers and prunes the log."""
        return bool(self._duties.numbers)

    @property
    def instances(self) -> list[Instance]:
        """All instances in the order in which they joined: this one as it is now, others as of the last heartbeat."""
        ourselves = replace(self._document(), order=self._membership.order)
        return sorted([*self._membership.others, ourselves], key=lambda each: (each.order, each.instance))

    @property
    def silent_for(self) -> float:
        """Seconds since the last heartbeat that JetStream answered."""
        return self._monotonic() - self._heard_at

    def covers(self, shard: int, started: float) -> bool:
        return self._shards.covers(shard, started)

    async def confirm(self, shards: Collection[int]) -> Collection[int]:
        """Renews these, and returns those whose lease was renewed, also while they are leaving. Never raises."""
        try:
            return await self._shards.renew(self._patience, shards)
        except Unanswered:
            return frozenset()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls `listener` after `shards` or `has_duties` has changed."""
        self._listeners.append(listener)

    def before_release(self, release: Callable[[frozenset[int]], Awaitable[None]]) -> None:
        """Awaits `release`, for a second at most, with shards that have left `shards`, before they are given back."""
        self._before_release.append(release)

    def set_sight(self, *, sees: bool) -> None:
        """Publishes whether this instance sees: while it does not and another does, its shards go to the others."""
        self._is_blind = not sees
        self._beat_now.set()

    async def run(self) -> None:
        """Holds our share until cancelled. Raises nothing else."""
        self._heard_at = self._monotonic()
        await self._contain(self._presence.listen, self._beat_now.set)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._at_every_beat(self._renew, self._lease_changed))
            tasks.create_task(self._at_every_beat(partial(self._beat, tasks), self._beat_now))
            tasks.create_task(self._take(self._shards, self._claim))
            tasks.create_task(self._take(self._duties, _all_of))
            tasks.create_task(self._report_changes())

    async def give_back_shards(self) -> None:
        """Leaves, and gives back all shards for good; in two seconds at most, also where JetStream is away.

        While `run` runs on, the instance keeps a duty that it has.
        """
        self._is_leaving = True
        self._duties.quota = len(self._duties.numbers)
        leaving = self._shards.set_all_aside()
        self._on_change()
        await asyncio.gather(self._leave(), self._finish(leaving))
        self._log.disclaim(leaving)
        await self._shards.aclose(_END_WITHIN)
        if leaving and self._stream.is_connected:
            self._logger.info("shards given back", shards=len(leaving))

    async def aclose(self) -> None:
        """Leaves, and gives back everything; in two seconds at most, also where JetStream is away."""
        self._duties.set_all_aside()
        await asyncio.gather(self.give_back_shards(), self._duties.aclose(_END_WITHIN))

    async def _leave(self) -> None:
        with contextlib.suppress(Unanswered, Refused, TimeoutError):
            async with asyncio.timeout(_END_WITHIN):
                await self._presence.leave()

    @property
    def _interval(self) -> float:
        """Seconds between heartbeats."""
        return self._lease / BEATS

    @property
    def _patience(self) -> float:
        """Seconds to wait for an answer: one that is lost must not cost the leases."""
        return 2 * self._interval

    async def _prepare(self) -> None:
        """Creates the streams and consumers that are missing. Raises Unanswered or Refused."""
        await self._presence.prepare(self._interval)
        before = [await held.queue.prepare(self._lease) for held in (self._shards, self._duties)]
        if others := [lasted for lasted in before if lasted is not None]:
            self._logger.info("lease duration changed by this instance", seconds=self._lease, before=others[0])

    async def _contain(self, step: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Awaits `step(*arguments)` and logs its error: the next heartbeat comes whatever happens."""
        try:
            await step(*arguments)
        except (Unanswered, Refused) as error:
            self._logger.debug("JetStream request failed", err=str(error))
        except Exception:
            self._logger.exception("heartbeat failed")

    async def _at_every_beat(self, step: Callable[[], Awaitable[None]], or_at: asyncio.Event) -> None:
        while True:
            began = self._monotonic()
            or_at.clear()
            await self._contain(step)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, began + self._interval - self._monotonic())):
                    await or_at.wait()
            await asyncio.sleep(max(0.0, began + self._interval / _EARLY_BEATS - self._monotonic()))

    async def _take(self, held: HeldLeases, admit: Callable[[Collection[int]], Awaitable[Collection[int]]]) -> None:
        while True:
            await self._contain(held.take, admit, self._patience, self._interval)
            await self._contain(held.request_missing, self._interval)

    async def _renew(self) -> None:
        """Renews the leases. Needs the lease queues only, which may be available while all else is not."""
        self._shards.drop_expired()
        self._renewing_since, self._renewing_under = self._monotonic(), self._lease
        await asyncio.gather(self._shards.renew(self._patience), self._duties.renew(self._patience))
        await self._request_missing()

    async def _request_missing(self) -> None:
        for held in (self._shards, self._duties):
            await held.request_missing(self._interval)

    async def _beat(self, tasks: asyncio.TaskGroup) -> None:
        """Publishes our document, reads those of the others, and does what follows from them."""
        try:
            if self._must_prepare and not self._is_leaving:
                await self._prepare()
            self._must_prepare = True
            await self._exchange_documents()
            self._must_prepare = False
            self._heard_at = self._monotonic()
            if not self._is_leaving:
                self._shards.quota = self._membership.share
                self._react(tasks)
                await self._request_missing()
        except (Unanswered, Refused) as error:
            self._on_change()  # leases that have expired are one outage with this
            if self.silent_for >= self._lease and not (self._is_leaving or self._is_unheard or self._has_lapsed):
                self._is_unheard = True
                self._logger.warning(
                    "heartbeats fail: other instances do not see this one", err=str(error), shards=len(self.shards)
                )
            raise
        if self._is_unheard:
            self._is_unheard = False
            self._logger.info("heartbeats succeed again: other instances see this one")

    async def _exchange_documents(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._inspect_queues()
                if not self._is_leaving:
                    await self._membership.update(self._document(), self._interval)
        except TimeoutError:
            raise Unanswered(f"no answer within {self._patience:g}s") from None

    async def _inspect_queues(self) -> None:
        """Puts missing leases back, and adopts the duration with which another instance was started."""
        states = await asyncio.gather(self._shards.queue.inspect(), self._duties.queue.inspect())
        error = next((str(state.error) for state in states if state.error is not None), "")
        if error and error != self._missing_error:
            self._logger.warning("missing leases cannot be put back: no instance holds their shards", err=error)
        self._missing_error = error
        for lasts in (state.lasts for state in states):
            if lasts != self._lease:
                self._logger.info("lease duration changed by another instance", seconds=lasts, before=self._lease)
                self._lease = lasts
                self._shards.set_duration(lasts)
                self._duties.set_duration(lasts)
                self._lease_changed.set()  # the interval of longer leases would outlast those that we hold now

    def _react(self, tasks: asyncio.TaskGroup) -> None:
        """Drops what others claimed or were given after us, and releases what is over our share."""
        others = self._membership.others
        self._history.update(others)
        self._rules.check(others)
        yielded = self._shards.numbers.intersection(
            shard
            for other in others
            for shard, token in zip(other.shards, other.epochs, strict=False)
            if token > (self._log.fencing_token(shard) or token)
        )
        if yielded:
            self._shards.drop(yielded)
            self._log.disclaim(yielded)
            self._logger.warning("shards were claimed by another instance", shards=len(yielded))
        # An instance that stood still in the middle of a claim sends it when it wakes, and has no lease any more.
        if superseded := self._log.superseded & self._shards.numbers:
            self._history.lost(superseded, self._monotonic())
            self._shards.admit_again(superseded)
            self._logger.warning("shards were claimed without a lease, and are claimed back", shards=len(superseded))
        if self._membership.duties_are_anothers and self.has_duties:
            self._duties.drop(self._duties.numbers)
            self._logger.warning("duties were given to another instance")
        if surplus := self._shards.surplus():
            self._shards.set_aside(surplus)
            tasks.create_task(self._contain(self._release, surplus))

    async def _claim(self, shards: Collection[int]) -> Collection[int]:
        """Claims shards whose leases have arrived; returns those that the log lets only us write from now on.

        Gives up sooner than an append would: where the log's leader has died, the request is lost, and the next leader
        is asked again.
        """
        within = max(self._patience, _CLAIM_WITHIN)
        try:
            async with asyncio.timeout(within):
                claimed = await self._log.claim(shards)
        except (LogError, TimeoutError) as error:
            self._log.disclaim(shards)
            cause = str(error) or f"the log has not answered for {within:g}s"
            if cause != self._claim_error:
                self._claim_error = cause
                self._logger.warning("shards cannot be claimed", shards=len(shards), err=cause)
            return ()
        self._claim_error = ""
        if claimed:
            holders = self._history.holders_of(claimed)
            cause = self._history.took(claimed, self._interval)
            self._logger.info("shards taken over", shards=len(claimed), cause=cause, of=holders)
        return claimed

    async def _release(self, shards: frozenset[int]) -> None:
        await self._finish(shards)
        self._log.disclaim(shards)
        self._history.lost(shards, self._monotonic())
        await self._shards.give_back(shards, self._patience)
        self._logger.info("shards given back", shards=len(shards))

    async def _finish(self, shards: frozenset[int]) -> None:
        """Awaits what `before_release` was given. One that fails or is slow does not keep shards from the others."""
        for release in self._before_release if shards else ():
            try:
                async with asyncio.timeout(_RELEASE_WITHIN):
                    await release(shards)
            except Exception as error:  # noqa: BLE001  whatever it is
                self._logger.warning("shards released with work pending", shards=len(shards), err=repr(error))

    async def _report_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._on_change()

    def _on_change(self) -> None:
        """Disclaims shards whose lease has expired, logs what has changed, and calls the listeners."""
        held = self._shards.numbers, self.has_duties
        if expired := self._shards.take_expired():
            self._log.disclaim(expired)
            self._history.lost(expired, self._monotonic() - self._lease)
            if not (self._is_leaving or self._has_lapsed):
                self._has_lapsed = True
                self._logger.warning(self._cause_of_lapse(), shards=len(expired))
        if held == self._reported:
            return
        (shards_before, had_duties), self._reported = self._reported, held
        if self._has_lapsed and len(held[0]) > len(shards_before):
            self._has_lapsed = False
            self._logger.info("leases are held again", shards=len(held[0]))
        if held[1] != had_duties:
            self._logger.info("delivery started" if held[1] else "delivery handed over")
        for listener in self._listeners:
            try:
                listener()
            except Exception:  # a faulty listener must not cost us the leases
                self._logger.exception("a listener for changes of shards failed")

    def _cause_of_lapse(self) -> str:
        if self._monotonic() - self._renewing_since > self._renewing_under / BEATS + _STALL * self._lease:
            return "leases expired: this process stood still"
        if self._renewing_under > self._lease:
            return "leases expired: another instance was started with a shorter --lease"
        return "leases expired: JetStream cannot be reached"

    def _document(self) -> Instance:
        now, shards, renewals = self._monotonic(), sorted(self._shards.numbers), self._shards.renewals
        return replace(
            self._ourselves,
            shards=tuple(shards),
            epochs=tuple(self._log.fencing_token(shard) or 0 for shard in shards),
            oldest_renewal=round(now - min(renewals), 3) if renewals else None,
            newest_renewal=round(now - max(renewals), 3) if renewals else None,
            duties=(RELAY,) if self.has_duties else (),
            takeover=self._history.last,
            games=self._games(),
            blind=self._is_blind,
        )


async def _all_of(numbers: Collection[int]) -> Collection[int]:
    return numbers


def _wall_time() -> datetime:
    return datetime.now(UTC)
