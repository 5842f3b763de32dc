"""The view: what may be seen of a worker from outside while it works. Reading costs the worker nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from healthprobe.domain.hysteresis import GameState, Transition
from healthprobe.ports import ShardLeases
from healthprobe.worker.discovery import Watchlist
from healthprobe.worker.event_writer import Committer
from healthprobe.worker.game_states import Ledger
from healthprobe.worker.target_set import TargetSet
from healthprobe.worker.tick import Watch
from healthprobe.worker.verdict import Verdicts


class View:
    """The games of a worker and what it knows of them, as it is now. Nothing here may be changed."""

    def __init__(
        self,
        watchlist: Watchlist,
        ledger: Ledger,
        *,
        committer: Committer,
        verdicts: Verdicts,
        watch: Watch,
        monotonic: Callable[[], float],
        shards: ShardLeases | None = None,
    ) -> None:
        self._watchlist = watchlist
        self._ledger = ledger
        self._committer = committer
        self._verdicts = verdicts
        self._watch = watch
        self._monotonic = monotonic
        self._shards = shards

    @property
    def target_set(self) -> TargetSet:
        """All games that are watched: the very same object as long as nothing changes."""
        return self._watchlist.target_set

    @property
    def states(self) -> Mapping[str, GameState]:
        """What is known of games in trouble, and of those that the log has not told about. Others have no state."""
        return self._ledger.states

    @property
    def waiting(self) -> Mapping[str, Transition]:
        """By game, the transitions that the log does not have yet."""
        return self._ledger.waiting

    @property
    def unread_games(self) -> int:
        """How many games the log has not told about yet: nothing of them is decided."""
        return len(self._ledger.unread)

    def is_flapping(self, game_id: str) -> bool:
        """Whether the game is kept in its incident, for it goes up and down."""
        return game_id in self._verdicts.judgement.flaps

    @property
    def flapping_games(self) -> int:
        return len(self._verdicts.judgement.flaps)

    @property
    def held_decisions(self) -> int:
        """How many `probe_failed` of a mass failure are decided and not told yet."""
        return len(self._verdicts.judgement.held)

    @property
    def blind_for(self) -> float:
        """For how many seconds no canary answers; 0 while one does, and where there are none."""
        since = self._verdicts.canaries.blind_since
        return 0.0 if since is None else self._monotonic() - since

    @property
    def log_away_for(self) -> float:
        """For how many seconds the log has not taken what it was offered; 0 while it does."""
        since = self._committer.away_since
        return 0.0 if since is None else self._monotonic() - since

    @property
    def shards_away_for(self) -> float:
        """For how many seconds whoever gives the shards is away, while we have none; 0 while all is well."""
        return 0.0 if self._shards is None or self._shards.shards else self._shards.unavailable_for

    @property
    def tick_overdue_for(self) -> float:
        """For how many seconds the present tick should have been over, or the next begun; 0 while all is well."""
        return max(0.0, self._monotonic() - self._watch.due_at) if self._watch.due_at else 0.0

    @property
    def lanes_in_use(self) -> int:
        """How many probes of the present tick are in flight."""
        return 0 if self._watch.tick is None else self._watch.tick.in_flight

    @property
    def lane_limit(self) -> int:
        """How many there may be."""
        return 0 if self._watch.tick is None else self._watch.tick.limit
