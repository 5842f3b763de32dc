"""The games: a page of them by condition, host and name, and one with all that is known of it."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from healthprobe._util.duration import milliseconds
from healthprobe._util.text import shorten
from healthprobe.domain.endpoint import masked
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.explanation import GameFacts, GameRule, explain
from healthprobe.domain.fleet_status import Condition
from healthprobe.domain.incident import incidents
from healthprobe.domain.probe_settings import PLAIN, ProbeKind
from healthprobe.status.cells import CONDITIONS
from healthprobe.status.run_status import RunStatus
from healthprobe.web.incidents import incident_document
from healthprobe.web.responses import MOST_PER_PAGE, PER_PAGE, Misasked, answer, number_in, refusal, word_in
from healthprobe.web.schemas import Game, GameDetails, Games, Incident, Outcome

_MOST_PAGES = 1_000_000


class GameAnswers:
    """`GET /api/games` and `GET /api/games/{game_id}`."""

    def __init__(self, sight: RunStatus) -> None:
        self._sight = sight

    async def games(self, request: Request) -> Response:
        """Those that match, in the order of attention they deserve, then by name."""
        wanted = word_in(request, "state")
        if wanted and wanted not in set(Condition):
            raise Misasked(f"state is one of {', '.join(Condition)}")
        per_page = number_in(request, "per_page", PER_PAGE, least=1, most=MOST_PER_PAGE)
        page = number_in(request, "page", 1, least=1, most=_MOST_PAGES)
        await self._sight.refresh()
        found = sorted(self._matching(wanted, word_in(request, "q").lower(), word_in(request, "host")))
        shown = found[(page - 1) * per_page : page * per_page]
        games = [self._game(place) for _, _, place in shown]
        return answer(Games(len(found), page, max(-(-len(found) // per_page), 1), games))

    async def game(self, request: Request) -> Response:
        """One game; 404 where it is not watched here."""
        game_id: str = request.path_params["game_id"]
        await self._sight.refresh()
        place = self._sight.cells.place_of(game_id)
        if place is None:
            return refusal(404, f"no game of this name is watched here: {shorten(game_id, 100)}")
        return answer(self._details(place, game_id))

    def _matching(self, condition: str, text: str, host: str) -> Iterator[tuple[int, str, int]]:
        cells = self._sight.cells
        for place, game in enumerate(cells.games):
            if game is None or (condition and CONDITIONS[cells.conditions[place]].value != condition):
                continue
            if (not text or text in game.game_id.lower()) and (not host or host == cells.hosts[place]):
                yield cells.conditions[place], game.game_id, place

    def _game(self, place: int) -> Game:
        cells = self._sight.cells
        game = cells.games[place]
        assert game is not None
        view, record = self._sight.view, game.record
        state, until = view.states.get(game.game_id), record.silenced_until
        is_silenced = until is not None and self._sight.clock() < until
        return Game(
            game_id=game.game_id,
            container_id=record.current_container_id,
            engine_endpoint=masked(record.engine_endpoint),
            host=cells.hosts[place],
            state=CONDITIONS[cells.conditions[place]].value,
            consecutive_failures=0 if state is None else state.consecutive_failures,
            down_s=self._down_for(game.game_id) if CONDITIONS[cells.conditions[place]] is Condition.DOWN else None,
            silenced_until=until if is_silenced else None,
            silenced_why=record.silenced_why if is_silenced else "",
            flapping=view.is_flapping(game.game_id),
        )

    def _details(self, place: int, game_id: str) -> GameDetails:
        sight, game = self._sight, self._game(place)
        failure, outcomes = sight.tally.last_failure_of(game_id), sight.tally.of(game_id)
        is_troubled = game.state in {Condition.DOWN, Condition.FAILING}
        facts = GameFacts(
            game_id,
            Condition(game.state),
            self._rule_of(place),
            game.consecutive_failures,
            failure.last_error if failure is not None and is_troubled else None,
            game.down_s,
            game_id not in sight.view.waiting,
            [each.outcome for each in outcomes],
            game.silenced_until,
            game.silenced_why,
            game.flapping,
        )
        return GameDetails(
            game,
            explain(facts),
            None if failure is None else failure.last_status,
            None if failure is None else failure.last_error,
            [Outcome(each.outcome, milliseconds(each.duration)) for each in outcomes],
            self._incidents(game_id),
        )

    def _rule_of(self, place: int) -> GameRule:
        """The run's rule, and what the game's own settings put in its place."""
        config, game = self._sight.config, self._sight.cells.games[place]
        assert game is not None
        return GameRule(
            config.interval * game.every,
            game.target.timeout,
            game.thresholds.failures,
            game.thresholds.successes,
            config.policy.confirm,
            None if config.policy.flap is None else config.policy.flap.steady,
            game.target.settings.kind is ProbeKind.HTTP and game.target.settings.expect == PLAIN.expect,
        )

    def _incidents(self, game_id: str) -> list[Incident]:
        now, known = self._sight.clock(), self._sight.incidents
        ended = [each for each in known.ended if each.game_id == game_id]
        failed: HealthEvent | None = known.open.get(game_id)
        return [incident_document(each, now) for each in (*(incidents([failed]) if failed else ()), *reversed(ended))]

    def _down_for(self, game_id: str) -> float | None:
        failed = self._sight.incidents.open.get(game_id)
        if failed is None:
            return None
        return round(max((self._sight.clock() - failed.occurred_at).total_seconds(), 0.0), 3)
