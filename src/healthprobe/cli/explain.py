"""`healthprobe explain`: the state of one game, and the reason for it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.text import Text

from healthprobe._util.duration import two_units
from healthprobe._util.text import counted, printable
from healthprobe.app import terminal
from healthprobe.app.url_names import shown
from healthprobe.cli import errors, options
from healthprobe.cli.api_client import At, InsteadLog, NotFound, RunClient, source_of
from healthprobe.cli.events import read_log
from healthprobe.cli.output import marks, marks_summary
from healthprobe.cli.silence import silences_at
from healthprobe.domain.alarms.silence import SilenceIndex
from healthprobe.domain.event import GAME_NO_LONGER_RUNS
from healthprobe.domain.explanation import explain_silence
from healthprobe.domain.incident import incidents
from healthprobe.ports import ConfigurationError
from healthprobe.web import schemas

_MOST_INCIDENTS = 5
_DOWN = "down"


class Explained(msgspec.Struct):
    """What is known of a game. `source` is `run` or `log`, `at` its address; `incidents` are the newest first.

    From a log `state` is `down` or null.
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


def _from_run(game_id: str, run: RunClient) -> Explained:
    try:
        details = run.game(game_id)
    except NotFound:
        raise ConfigurationError(
            f"no game {printable(game_id)} is watched at {run.at}; check the id, ask another instance, or read its "
            "events with: healthprobe explain GAME --log URL"
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


def _from_log(game_id: str, url: str) -> Explained:
    now = datetime.now(UTC)
    read = read_log(url, game_id)
    events = read.events
    if not events:
        raise ConfigurationError(
            f"no event of {printable(game_id)} is in the log {shown(url)}: it never failed, "
            "or has another id; a run that listens knows every game: use --at"
        )
    known = [msgspec.convert(each.as_document(now), schemas.Incident) for each in incidents(events, read.gone)][::-1]
    last = known[0] if known else None
    found = SilenceIndex(uvloop.run(silences_at(url))).find(now, game_id, "", events[-1].labels)
    silenced = "" if found is None else f" {explain_silence(found.ends_at, found.who, found.why)}"
    is_down = last is not None and last.open
    return Explained(
        source="log",
        at=shown(url),
        game_id=game_id,
        state=_DOWN if is_down else None,
        explanation=_explanation(game_id, known) + silenced,
        incidents=known,
        down_s=last.duration_s if last is not None and is_down else None,
        container_id=events[-1].container_id,
        last_status=last.last_status if last is not None else None,
        last_error=last.last_error if last is not None else None,
    )


def _explanation(game_id: str, known: list[schemas.Incident]) -> str:
    note = "This is from the log, which has transitions only: no single probes, and not whether the game still runs."
    if not known:
        return f"{game_id} recovered and has not failed since. {note}"
    last = known[0]
    count = f"The log has {counted(len(known), 'incident')} of it."
    if last.open:
        return (
            f"{game_id} is down for {two_units(last.duration_s)}. The last of the failures that made the "
            f"probe_failed was “{last.last_error}”. {count} A success ends the incident with a probe_recovered. {note}"
        )
    if last.gone_at is not None:
        return (
            f"{game_id} no longer runs. Its last incident, with “{last.last_error}”, ended after "
            f"{two_units(last.duration_s)}, when the game was no longer listed. {count} {note}"
        )
    return (
        f"{game_id} is not down. Its last incident lasted {two_units(last.duration_s)}, with “{last.last_error}”. "
        f"{count} {note}"
    )


def _print(console: Console, explained: Explained) -> None:
    paragraph = Text(printable(explained.explanation))
    if explained.is_down:
        paragraph.stylize(terminal.FAILED, 0, len(f"{explained.game_id} is down"))
    console.print(paragraph)
    if explained.engine_endpoint:
        where = f"asked at {explained.engine_endpoint}, container {explained.container_id or 'unknown'}"
        console.print(Text(printable(where), terminal.ASIDE))
    if explained.outcomes:
        console.print()
        terminal.print_line(console, marks(explained.outcomes, console.width))
        console.print(marks_summary(explained.outcomes))
    if explained.incidents:
        console.print()
        for each in reversed(explained.incidents[:_MOST_INCIDENTS]):
            for line in _events_of(each):
                terminal.print_line(console, line)
        if (more := len(explained.incidents) - _MOST_INCIDENTS) > 0:
            aside = f"and {counted(more, 'older incident')}: healthprobe events --game"
            console.print(Text(aside, terminal.ASIDE))


def _events_of(incident: schemas.Incident) -> list[Text]:
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
    elif incident.gone_at is not None:
        lines.append(_event(incident.gone_at, "ended", terminal.UNCERTAIN, GAME_NO_LONGER_RUNS))
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
    """Explain the state of a game and what would change it; exit 1 if it is down.

    A run that was started with --listen gives the rule, the last probes as a
    line of marks whose height is the response time, and the last events. A log
    gives only the events.

    With --json, or if standard output is not a terminal: one object on a
    line, with source (run or log), at, game_id, state, explanation, incidents,
    down_s, container_id, engine_endpoint, last_status, last_error, outcomes.

    Example: [b]healthprobe explain game-7[/b]
    """
    explained = source_of(context, at, log).ask(partial(_from_run, game), partial(_from_log, game))
    if terminal.people_watch(json_wanted=as_json):
        _print(terminal.console_for(), explained)
    else:
        terminal.write_json(msgspec.to_builtins(explained))
    if explained.is_down:
        raise typer.Exit(errors.BAD)
