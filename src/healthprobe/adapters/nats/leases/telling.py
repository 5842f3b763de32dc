"""The telling: what an instance says of its leases to whoever is on call, each thing once until it changes."""

from __future__ import annotations

from typing import Any

from healthprobe.adapters.nats.leases.heartbeat import Lapse


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
