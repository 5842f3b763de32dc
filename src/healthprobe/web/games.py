"""`GET /api/games` and `GET /api/games/{game_id}`: pages of games by state, host and id, and one game in detail."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from healthprobe._util.duration import milliseconds
from healthprobe._util.text import shorten
from healthprobe.domain.endpoint import masked
from healthprobe.domain.explanation import GameFacts, GameRule, explain
from healthprobe.domain.fleet_status import Condition
from healthprobe.domain.incident import incidents
from healthprobe.domain.labels import Selector, selects
from healthprobe.domain.probe.probe_settings import PLAIN, ProbeKind
from healthprobe.status.cells import CONDITIONS, Cells
from healthprobe.status.run_status import RunStatus
from healthprobe.web.incidents import incident_document
from healthprobe.web.responses import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    BadRequest,
    error_response,
    int_parameter,
    json_response,
    labels_parameter,
    status_of,
    text_parameter,
)
from healthprobe.web.schemas import Game, GameDetails, Games, Incident, Outcome

_MAX_PAGE = 1_000_000


async def get_games(request: Request) -> Response:
    """Returns the games that match, the worst state first, then by id."""
    status = status_of(request)
    state = text_parameter(request, "state")
    if state and state not in set(Condition):
        raise BadRequest(f"state must be one of {', '.join(Condition)}")
    per_page = int_parameter(request, "per_page", DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT)
    page = int_parameter(request, "page", 1, minimum=1, maximum=_MAX_PAGE)
    text, host = text_parameter(request, "q").lower(), text_parameter(request, "host")
    labels = labels_parameter(request)
    await status.refresh()
    found = sorted(_matching(status.cells, state, text, host, labels))
    shown = found[(page - 1) * per_page : page * per_page]
    games = [_game(status, slot) for _, _, slot in shown]
    return json_response(Games(len(found), page, max(-(-len(found) // per_page), 1), games))


async def get_game(request: Request) -> Response:
    """Returns one game; 404 if it is not watched here."""
    status = status_of(request)
    game_id: str = request.path_params["game_id"]
    await status.refresh()
    slot = status.cells.slot_of(game_id)
    if slot is None:
        return error_response(404, f"no such game is watched here: {shorten(game_id, 100)}")
    return json_response(_details(status, slot, game_id))


def _matching(cells: Cells, state: str, text: str, host: str, labels: Selector) -> Iterator[tuple[int, str, int]]:
    for slot, game in enumerate(cells.games):
        if game is None or (state and CONDITIONS[cells.conditions[slot]].value != state):
            continue
        if labels and not selects(labels, game.record.labels):
            continue
        if (not text or text in game.game_id.lower()) and (not host or host == cells.hosts[slot]):
            yield cells.conditions[slot], game.game_id, slot


def _game(status: RunStatus, slot: int) -> Game:
    cells, worker = status.cells, status.worker
    game = cells.games[slot]
    assert game is not None
    record, state, condition = game.record, worker.states.get(game.game_id), CONDITIONS[cells.conditions[slot]]
    silence, unobserved = status.silence_of(game), worker.unobserved(game.game_id)
    return Game(
        game_id=game.game_id,
        container_id=record.current_container_id,
        engine_endpoint=masked(record.engine_endpoint),
        host=cells.hosts[slot],
        state=condition.value,
        consecutive_failures=0 if state is None else state.consecutive_failures,
        down_s=_down_for(status, game.game_id) if condition is Condition.DOWN else None,
        silenced_until=None if silence is None else silence.ends_at,
        silenced_why="" if silence is None else silence.why,
        silenced_by="" if silence is None else silence.who,
        flapping=worker.is_flapping(game.game_id),
        labels=dict(record.labels),
        unobserved_s=None if unobserved is None else round(unobserved[0], 3),
        unobserved_why="" if unobserved is None else unobserved[1],
    )


def _details(status: RunStatus, slot: int, game_id: str) -> GameDetails:
    game = _game(status, slot)
    failure, outcomes = status.counters.last_failure_of(game_id), status.counters.outcomes_of(game_id)
    is_failing = game.state in {Condition.DOWN, Condition.FAILING}
    facts = GameFacts(
        game_id,
        Condition(game.state),
        _rule(status, slot),
        game.consecutive_failures,
        failure.last_error if failure is not None and is_failing else None,
        game.down_s,
        game_id not in status.worker.waiting,
        [each.outcome for each in outcomes],
        game.silenced_until,
        game.silenced_why,
        game.silenced_by,
        game.flapping,
        game.unobserved_s,
        game.unobserved_why,
    )
    return GameDetails(
        game,
        explain(facts),
        None if failure is None else failure.last_status,
        None if failure is None else failure.last_error,
        [Outcome(each.outcome, milliseconds(each.duration)) for each in outcomes],
        _incidents(status, game_id),
    )


def _rule(status: RunStatus, slot: int) -> GameRule:
    """Returns the run's settings with the game's own in their place."""
    config, game = status.config, status.cells.games[slot]
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


def _incidents(status: RunStatus, game_id: str) -> list[Incident]:
    now, known = status.clock(), status.incidents
    ended = [each for each in known.ended if each.game_id == game_id]
    failed = known.open.get(game_id)
    return [
        incident_document(each, now, status) for each in (*(incidents([failed]) if failed else ()), *reversed(ended))
    ]


def _down_for(status: RunStatus, game_id: str) -> float | None:
    failed = status.incidents.open.get(game_id)
    if failed is None:
        return None
    return round(max((status.clock() - failed.occurred_at).total_seconds(), 0.0), 3)
