"""`healthprobe status`: the fleet on one screen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.text import Text

from healthprobe._util.duration import two_units
from healthprobe._util.text import counted, printable, shorten
from healthprobe.app import terminal
from healthprobe.app.url_names import shown
from healthprobe.cli import errors, options, output
from healthprobe.cli.api_client import At, InsteadLog, RunClient, source_of
from healthprobe.cli.incidents import read_incidents
from healthprobe.cli.silence import silences_at
from healthprobe.domain.alarms.silence import Matcher
from healthprobe.domain.fleet_status import Condition
from healthprobe.domain.labels import parse_selector
from healthprobe.domain.record import end_of_silence
from healthprobe.web import schemas
from healthprobe.web.silences import silence_document

_MOST = 1_000
_PROMPT = 2
_FEWEST_INCIDENTS = 5
_SILENCES_SHOWN = 3
_UNKNOWN_SHOWN = 3
_LONGEST_GAMES = 100


class Status(msgspec.Struct):
    """The state of the fleet. `source` is `run` or `log`, and `at` its address.

    `incidents` are open ones, the longest first, at most 1,000 of the `down`. From a log the number of games and the
    state of the prober are not known.
    """

    source: str
    at: str
    summary: str
    down: int
    incidents: list[schemas.Incident]
    games: int | None = None
    failing: int | None = None
    unknown: int | None = None
    healthy: int | None = None
    prober: schemas.Prober | None = None
    publishers: list[schemas.Publisher] = []
    silences: list[schemas.Silence] = []
    unknown_games: list[schemas.UnknownGame] = []

    @property
    def is_bad(self) -> bool:
        """Whether a game is down or unknown, or the log cannot hold one, or the prober is in trouble."""
        return output.is_bad(self.down, self.prober, self.unknown)


def _status_of_run(run: RunClient, label: Sequence[str]) -> Status:
    fleet, known = run.fleet(), run.incidents(_MOST, label)
    status = Status(
        source="run",
        at=run.at,
        summary=fleet.summary,
        down=fleet.down,
        incidents=[each for each in known.incidents if each.open],
        games=fleet.games,
        failing=fleet.failing,
        unknown=fleet.unknown,
        healthy=fleet.healthy,
        prober=fleet.prober,
        publishers=fleet.publishers,
        silences=fleet.silences,
        unknown_games=fleet.unknown_games,
    )
    return _of_labels(status, run, label) if label else status


def _of_labels(status: Status, run: RunClient, label: Sequence[str]) -> Status:
    """Returns the status with the numbers of those games that have these labels."""
    numbers = {state.value: run.games_in(state.value, label) for state in Condition}
    games = sum(numbers.values())
    down, unknown = numbers[Condition.DOWN], numbers[Condition.UNKNOWN]
    summary = f"{down:,} of {games:,} engines with {', '.join(label)} {'is' if down == 1 else 'are'} down."
    if unknown:
        summary = f"{summary[:-1]}; nothing is known of {unknown:,}."
    if status.prober is not None and status.prober.trouble is not None:
        summary = status.summary
    elif not games:
        summary = f"No game with {', '.join(label)} is watched by this run."
    return msgspec.structs.replace(status, summary=summary, games=games, **numbers, unknown_games=[])


def _status_of_log(url: str, label: Sequence[str]) -> Status:
    now = datetime.now(UTC)
    read = read_incidents(url, now, parse_selector(label))
    found = [msgspec.convert(each.as_document(now), schemas.Incident) for each in read if each.is_open]
    return Status(
        source="log",
        at=shown(url),
        summary=_summary(found),
        down=len(found),
        incidents=found[:_MOST],
        silences=[silence_document(each) for each in uvloop.run(silences_at(url)) if now < each.ends_at],
    )


def _summary(found: Sequence[schemas.Incident]) -> str:
    if not found:
        return "No game is down, according to the log."
    lasting = two_units(found[0].duration_s)
    if len(found) == 1:
        return f"1 game is down, according to the log: {found[0].game_id}, for {lasting}."
    return f"{len(found):,} games are down, according to the log, {found[0].game_id} the longest, for {lasting}."


def _print(console: Console, status: Status) -> None:
    """Prints the status. Shows as many incidents as fit on the screen with everything else and the prompt."""
    head = [
        output.sentence(status.summary, is_bad=status.is_bad),
        _counts(status),
        *_unknown(status),
        *_silenced(status),
    ]
    foot = [] if status.prober is None else [output.prober(status.prober, status.publishers, datetime.now(UTC))]
    console.print(*head, sep="\n")
    if status.incidents:
        taken = output.height_of(console, *head, *foot) + output.AROUND_OUTAGES + _PROMPT
        rows = max(console.height - taken, _FEWEST_INCIDENTS)
        console.print(output.outages(status.incidents[:rows]))
        if (more := max(status.down, len(status.incidents)) - rows) > 0:
            console.print(Text(f"and {more:,} more: healthprobe incidents, or --json", terminal.ASIDE))
    elif foot:
        console.print()
    if foot:
        console.print(*foot)


def _counts(status: Status) -> Text:
    if status.games is not None:
        return output.counts(status.games, status.down, status.failing, status.unknown, status.healthy)
    note = f"from the log {status.at}: only a run that listens knows the other games and the prober"
    return Text(printable(note), terminal.ASIDE)


def _unknown(status: Status) -> list[Text]:
    """Returns a line for each of the first games of which nothing is known though they were probed."""
    return [
        Text(printable(f"unknown for {two_units(each.unknown_s)}: {each.game_id}, {each.error}"), terminal.UNCERTAIN)
        for each in status.unknown_games[:_UNKNOWN_SHOWN]
    ]


def _silenced(status: Status) -> list[Text]:
    """Returns a line for each of the first silences, and one for the others."""
    lines = []
    for each in status.silences[:_SILENCES_SHOWN]:
        games = Matcher(games=tuple(each.games), host=each.host, labels=each.labels).description
        why = ": ".join(filter(None, (each.who and f"by {each.who}", each.why)))
        until = end_of_silence(each.ends_at, "%Y-%m-%d %H:%M:%S")
        line = f"silenced until {until}: {shorten(games, _LONGEST_GAMES)}{why and f', {why}'}"
        lines.append(Text(printable(line), terminal.ASIDE))
    if (more := len(status.silences) - _SILENCES_SHOWN) > 0:
        lines.append(Text(f"and {counted(more, 'more silence')}: healthprobe silence --list", terminal.ASIDE))
    return lines


def status(
    context: typer.Context,
    at: At = None,
    log: InsteadLog = None,
    label: options.Label = None,
    as_json: options.Json = False,
) -> None:
    """Show the fleet on one screen; exit 1 if a game is down or unknown, or the prober in trouble.

    A run that was started with --listen gives the state of the fleet, the
    games that are down and the state of the prober. A log gives only the games
    that are down. A game that the log cannot hold counts as trouble, too. A
    game is unknown while no probe has had a conclusive outcome: not yet, or
    not in its last --failures probes. With --label all numbers and incidents
    are those of the games that have it.

    With --json, or if standard output is not a terminal: one object on a
    line, with source (run or log), at, summary, down, incidents (open ones),
    silences (those in force), and from a run games, failing, unknown, healthy,
    prober, publishers and unknown_games (the first of them, with the reason).

    Example: [b]healthprobe status --at http://prober:8600[/b]
    """
    wanted = label or []
    found = source_of(context, at, log).ask(
        lambda run: _status_of_run(run, wanted), lambda url: _status_of_log(url, wanted)
    )
    if terminal.people_watch(json_wanted=as_json):
        _print(terminal.console_for(), found)
    else:
        terminal.write_json(msgspec.to_builtins(found))
    if found.is_bad:
        raise typer.Exit(errors.BAD)
