"""The takeover: what brings a new list, or other shards, into force."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import ProbeTarget
from healthprobe.worker.bystanders import Voice
from healthprobe.worker.ledger import Ledger
from healthprobe.worker.portions import in_portions
from healthprobe.worker.roster import Roster, RosterChange, WatchedGame


class Takeover:
    """Prunes what is gone, prepares what is new, and has the ledger admit it. `roster` is what is in force.

    Nothing about a new game is decided before the log has told of it: the ledger has admitted it when the roster names
    it, and not after. What was decided when its shard was ours the last time is dropped. All of it is done in portions,
    and one that is cancelled in the middle leaves one roster or the other in force. `welcome` is told of newcomers,
    `forget` of targets that are not probed any more, `dismiss` of games.
    """

    def __init__(
        self,
        roster: Roster,
        ledger: Ledger,
        *,
        welcome: Callable[[Sequence[WatchedGame]], None],
        forget: Callable[[ProbeTarget], None],
        dismiss: Callable[[str], None],
        logger: Voice,
    ) -> None:
        self.roster = roster
        self._ledger = ledger
        self._welcome = welcome
        self._forget = forget
        self._dismiss = dismiss
        self._logger = logger

    async def to(self, records: Sequence[RuntimeRecord], shards: frozenset[int] | None) -> RosterChange:
        """Let `records` be in force, of these shards or of all; what that has changed."""
        roster, change = await self.roster.updated(records, shards)
        ours_before = self.roster.shards
        async for game_id in in_portions(change.appeared):
            if ours_before is not None and roster.by_id[game_id].shard not in ours_before:
                self._ledger.abandon(game_id)
            self._ledger.admit(game_id)
        self.roster = roster
        self._welcome(change.newcomers)
        async for target in in_portions(change.retired):
            self._forget(target)
        async for game_id in in_portions(change.left):
            self._ledger.dismiss(game_id)
            self._dismiss(game_id)
        async for game_id in in_portions(sorted(change.repeated)):
            self._logger.warning("game is listed more than once, only its first record counts", game_id=game_id)
        return change
