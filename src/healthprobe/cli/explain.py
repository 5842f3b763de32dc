"""`healthprobe explain`: why a game is in its condition."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from healthprobe._util.duration import two_units
from healthprobe._util.text import counted, printable
from healthprobe.app import terminal
from healthprobe.app.url_names import shown
from healthprobe.cli import errors, options
from healthprobe.cli.api_client import At, Instance, InsteadLog, UnknownThere, Whom, whom
from healthprobe.cli.incidents import read_events_of
from healthprobe.cli.output import marks, marks_told
from healthprobe.domain.incident import incidents
from healthprobe.ports import ConfigurationError
from healthprobe.web import schemas

_MOST_INCIDENTS = 5
_DOWN = "down"


class Explained(msgspec.Struct):
    """What is known of a game: `source` is `run` or `log`, `at` where that is, `incidents` the newest first.

    Where `state` is null it is not down, and the log knows no more.
    """

    source: str
    at: str
    game_id: str
    state: str | None
    explanation: str
    incidents: list[schemas.Incident]
    down_s: float | None = None
    container_id: str | None = None
    engine_endpoint: str | None = None
    last_status: int | None = None
    last_error: str | None = None
    outcomes: list[schemas.Outcome] = []

    @property
    def is_down(self) -> bool:
        return self.state == _DOWN


def show_explanation(whom: Whom, game: str, *, as_json: bool) -> bool:
    """Write why `game` stands as it does; whether it is up. Raises ConfigurationError where nobody knows of it."""
    explained = whom.ask(lambda run: _from_run(run, game), lambda url: _from_log(url, game))
    if terminal.people_watch(json_wanted=as_json):
        _show(terminal.console_for(), explained)
    else:
        terminal.write_json(msgspec.to_builtins(explained))
    return not explained.is_down


def _from_run(run: Instance, game_id: str) -> Explained:
    try:
        details = run.game(game_id)
    except UnknownThere:
        raise ConfigurationError(
            f"no game {printable(game_id)} is watched at {run.at}; look at its id, or ask another "
            "instance, or read what was of it with: healthprobe explain GAME --log URL"
        ) from None
    return Explained(
        source="run",
        at=run.at,
        game_id=details.game.game_id,
        state=details.game.state,
        explanation=details.explanation,
        incidents=details.incidents,
        down_s=details.game.down_s,
        container_id=details.game.container_id,
        engine_endpoint=details.game.engine_endpoint,
        last_status=details.last_status,
        last_error=details.last_error,
        outcomes=details.outcomes,
    )


def _from_log(url: str, game_id: str) -> Explained:
    """What the log can tell: incidents, and no more."""
    now = datetime.now(UTC)
    events = read_events_of(url, game_id)
    if not events:
        raise ConfigurationError(
            f"no event of {printable(game_id)} is in the log {shown(url)}: it never failed there, "
            "or has another id; a run that listens knows every game, ask it with --at"
        )
    known = [msgspec.convert(each.as_document(now), schemas.Incident) for each in incidents(events)][::-1]
    last = known[0] if known else None
    is_down = last is not None and last.open
    return Explained(
        source="log",
        at=shown(url),
        game_id=game_id,
        state=_DOWN if is_down else None,
        explanation=_told(game_id, known),
        incidents=known,
        down_s=last.duration_s if last is not None and is_down else None,
        container_id=events[-1].container_id,
        last_status=last.last_status if last is not None else None,
        last_error=last.last_error if last is not None else None,
    )


def _told(game_id: str, known: list[schemas.Incident]) -> str:
    """A paragraph that says no more than the log does, and what that is not."""
    unsaid = "This is from the log, which knows transitions alone: no single probes, and not whether it is still asked."
    if not known:
        return f"{game_id} recovered, and has not failed since. {unsaid}"
    last = known[0]
    before = f"The log knows {counted(len(known), 'incident')} of it."
    if last.open:
        return (
            f"{game_id} is down for {two_units(last.duration_s)}: so many probes in a row failed as make a "
            f"probe_failed, the last then with “{last.last_error}”. {before} "
            f"One answer with 200 ends the incident: a probe_recovered. {unsaid}"
        )
    return (
        f"{game_id} is not down: its last incident was {two_units(last.duration_s)} long, with “{last.last_error}”, "
        f"and a probe_recovered ended it. {before} {unsaid}"
    )


def _show(console: Console, explained: Explained) -> None:
    told = Text(printable(explained.explanation))
    if explained.is_down:
        told.stylize(terminal.FAILED, 0, len(f"{explained.game_id} is down"))
    console.print(told)
    if explained.engine_endpoint:
        where = f"asked at {explained.engine_endpoint}, container {explained.container_id or 'unknown'}"
        console.print(Text(printable(where), terminal.ASIDE))
    if explained.outcomes:
        console.print()
        terminal.print_line(console, marks(explained.outcomes, console.width))
        console.print(marks_told(explained.outcomes))
    if explained.incidents:
        console.print()
        for each in reversed(explained.incidents[:_MOST_INCIDENTS]):
            for line in _events_of(each):
                terminal.print_line(console, line)
        if (more := len(explained.incidents) - _MOST_INCIDENTS) > 0:
            aside = f"and {counted(more, 'older incident')}: healthprobe events --game"
            console.print(Text(aside, terminal.ASIDE))


def _events_of(incident: schemas.Incident) -> list[Text]:
    """How it began, and how it ended."""
    began, ended = incident.failed_at, incident.recovered_at
    error = printable(incident.last_error)
    lines = [_event(began, "failed", terminal.FAILED, error)]
    if ended is not None:
        lines.append(
            _event(
                ended,
                "recovered",
                terminal.RECOVERED,
                f"after {two_units(incident.duration_s, decimals=1)}",
            )
        )
    return lines


def _event(at: datetime, word: str, style: str, why: str) -> Text:
    return Text.assemble(
        (at.astimezone().strftime(terminal.DATED), terminal.ASIDE), "  ", (f"{word:<9}", style), f"  {why}"
    )


def explain(
    context: typer.Context,
    game: Annotated[str, typer.Argument(metavar="GAME", help="The game's id.")],
    at: At = None,
    log: InsteadLog = None,
    as_json: options.Json = False,
) -> None:
    """Tell why a game stands as it does and what would change it; exit 1 if it is down.

    From a run that was started with --listen: the rule, the last probes as a
    line of marks, as high as their answers took, and the last events. A log
    tells the events alone.

    With --json, or where standard output is not a terminal: one object on a
    line, with source (run or log), at, game_id, state, explanation, incidents,
    down_s, container_id, engine_endpoint, last_status, last_error, outcomes.

    Example: [b]healthprobe explain game-7[/b]
    """
    if not show_explanation(whom(context, at, log), game, as_json=as_json):
        raise typer.Exit(errors.BAD)
