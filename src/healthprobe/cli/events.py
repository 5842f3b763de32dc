"""`healthprobe events`: the events of the log, and the dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Annotated, Any

import typer
import uvloop
from rich.text import Text

from healthprobe._util.text import counted, printable
from healthprobe.app import terminal
from healthprobe.app.run import exit_cleanly_at_once, until_signal
from healthprobe.app.settings import DEFAULT_DATABASE
from healthprobe.app.urls import log_at
from healthprobe.cli import errors, options
from healthprobe.domain.alarms.gone import GONE, GoneIncident, gone_incidents
from healthprobe.domain.event import AlteredEvent, HealthEvent, format_instant
from healthprobe.domain.labels import Selector, parse_selector, selects
from healthprobe.domain.watch import NOTHING, WATCH, WatchedTime, readable_times, together
from healthprobe.ports import ConfigurationError, DeadLetter, DocumentLog, HealthEventLog, LogError

_NO_DEAD_LETTER = "No dead letter in this log."
ALL = 1_000_000
"""A limit above the number of dead letters in any log."""
_PAGE = 1000
_POLL_INTERVAL = 0.25
_RETRY_INTERVAL = 1.0
_PATIENCE = 5.0
"""Seconds to wait for a relay to deliver one more of the dead letters."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of a replay. `waiting` dead letters are delivered by the next run."""

    asked_for: int
    delivered: int
    refused: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are asked for: those of one game, or of the games with these labels."""

    game: str | None = None
    labels: Selector = ()

    def has(self, event: HealthEvent) -> bool:
        return self.game in {None, event.game_id} and selects(self.labels, event.labels)


def show_events(url: str, wanted: Wanted, *, follow: bool, as_json: bool) -> None:
    """Writes the events of the log at a URL that are wanted; with `follow` until SIGINT or SIGTERM."""
    if not follow:
        uvloop.run(_show_events(url, wanted, follow=False, as_json=as_json))
        return
    exit_cleanly_at_once()
    uvloop.run(until_signal(_show_events(url, wanted, follow=True, as_json=as_json)))


@dataclass(frozen=True, slots=True)
class ReadLog:
    """The events of a log, oldest first, and its notes: which games are gone, and when any were watched."""

    events: list[HealthEvent]
    gone: Mapping[tuple[str, int], GoneIncident]
    watched: WatchedTime


def read_log(url: str, game: str | None = None) -> ReadLog:
    """Reads the log at a URL, all of it or the events of one game. Names the events that were altered."""
    return uvloop.run(_read_log(url, game))


async def _read_log(url: str, game: str | None) -> ReadLog:
    async with log_at(url) as log:
        events = [event async for event in _entries(log, follow=False) if game in {None, event.game_id}]
        if not isinstance(log, DocumentLog):
            return ReadLog(events, {}, NOTHING)
        gone = gone_incidents(await log.documents(GONE))
        return ReadLog(events, gone, together(readable_times(await log.documents(WATCH)).values()))


async def _show_events(url: str, wanted: Wanted, *, follow: bool, as_json: bool) -> None:
    people = terminal.people_watch(json_wanted=as_json)
    console = terminal.console_for()
    async with log_at(url) as log, aclosing(_entries(log, follow=follow)) as entries:
        async for event in entries:
            if isinstance(event, AlteredEvent) or not wanted.has(event):
                continue
            if people:
                terminal.print_line(console, terminal.transition_text(event, dated=True))
            else:
                terminal.write_json(event.as_document())


async def _entries(log: HealthEventLog, *, follow: bool) -> AsyncGenerator[HealthEvent]:
    """Yields the events in order. With `follow` it waits for more, and for a log that is away, without end."""
    cursor, is_away = 0, False
    while True:
        try:
            page = await log.read(cursor, _PAGE)
        except LogError as error:
            if error.permanent or not follow:
                raise
            if not is_away:
                terminal.report(f"{error}; waiting for it")
            is_away = True
            await asyncio.sleep(_RETRY_INTERVAL)
            continue
        if is_away:
            is_away = False
            terminal.report("the log answers again")
        for entry in page:
            cursor = entry.cursor
            if isinstance(entry.event, AlteredEvent):
                terminal.report(entry.event.problem)
            yield entry.event
        if not page:
            if not follow:
                return
            await asyncio.sleep(_POLL_INTERVAL)


def show_dead_letters(url: str, wanted: Wanted, *, as_json: bool) -> None:
    """Writes the dead letters of the log at a URL whose events are wanted, oldest first."""
    letters = [letter for letter in uvloop.run(_dead_letters(url)) if wanted.has(letter.event)]
    if not terminal.people_watch(json_wanted=as_json):
        for letter in letters:
            terminal.write_json(_document(letter))
        return
    if letters:
        _print(letters)
    else:
        terminal.console_for().print(_NO_DEAD_LETTER)


def replay_dead_letters(url: str, *, as_json: bool) -> bool:
    """Requests a replay of all dead letters and writes its result. Returns whether none was refused again.

    The relays of a run deliver them, because only a run has the publishers' secrets. Without a run they wait for one.
    """
    replay = uvloop.run(_replay(url))
    if not terminal.people_watch(json_wanted=as_json):
        terminal.write_json(asdict(replay))
    else:
        terminal.console_for().print(_summary(replay))
    return replay.refused == 0


async def _dead_letters(url: str) -> Sequence[DeadLetter]:
    async with log_at(url) as log:
        return await _readable_letters(log)


async def _readable_letters(log: HealthEventLog) -> list[DeadLetter]:
    """Returns the dead letters; names those that were altered."""
    letters = await log.dead_letters(ALL)
    for letter in letters:
        if isinstance(letter.event, AlteredEvent):
            terminal.report(letter.event.problem)
    return [letter for letter in letters if not isinstance(letter.event, AlteredEvent)]


async def _replay(url: str) -> Replay:
    async with log_at(url) as log:
        asked_for = {_key(letter) for letter in await _readable_letters(log)}
        await log.request_replay()
        left, waiting = len(asked_for), len(asked_for)
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + _PATIENCE
        while waiting and loop.time() < give_up_at:
            await asyncio.sleep(_POLL_INTERVAL)
            letters = [letter for letter in await log.dead_letters(ALL) if _key(letter) in asked_for]
            left, before, waiting = len(letters), waiting, sum(letter.due for letter in letters)
            if waiting < before:
                give_up_at = loop.time() + _PATIENCE
    return Replay(len(asked_for), delivered=len(asked_for) - left, refused=left - waiting, waiting=waiting)


def _key(letter: DeadLetter) -> tuple[str, str]:
    return letter.publisher, letter.event.id


def _summary(replay: Replay) -> str:
    if not replay.asked_for:
        return _NO_DEAD_LETTER
    parts = [f"{replay.delivered:,} of {counted(replay.asked_for, 'dead letter')} delivered"]
    if replay.refused:
        parts.append(f"{replay.refused:,} refused again: see healthprobe events --dead")
    if replay.waiting:
        parts.append(f"{replay.waiting:,} waiting: healthprobe run delivers them when the publisher accepts them")
    return "; ".join(parts) + "."


def _document(letter: DeadLetter) -> dict[str, Any]:
    return {
        "publisher": letter.publisher,
        "parked_at": format_instant(letter.parked_at),
        "reason": letter.reason,
        "due": letter.due,
        "event": letter.event.as_document(),
    }


def _print(letters: Sequence[DeadLetter]) -> None:
    """Prints the dead letters, those with the same publisher and reason below one heading."""
    console = terminal.console_for()
    for (publisher, reason), refused in groupby(letters, key=lambda letter: (letter.publisher, letter.reason)):
        console.print(Text(printable(publisher), "bold"), overflow="fold")
        console.print(Text(printable(reason)), overflow="fold")
        for letter in refused:
            terminal.print_line(console, _line(letter))


def _line(letter: DeadLetter) -> Text:
    event_type = letter.event.event_type
    return Text.assemble(
        "  ",
        (letter.parked_at.astimezone().strftime(terminal.DATED), terminal.ASIDE),
        "  ",
        terminal.verdict_text(event_type),
        (printable(letter.event.id), "bold"),
        ("  to be replayed" if letter.due else "", terminal.ASIDE),
    )


DEAD_LETTERS = "Dead letters"


def events(
    log: options.ReadLog = DEFAULT_DATABASE,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            "-f",
            envvar="HEALTHPROBE_FOLLOW",
            help="Continue with new events until Ctrl-C. Waits for a log that is away.",
        ),
    ] = False,
    game: Annotated[
        str | None,
        typer.Option("--game", metavar="ID", envvar="HEALTHPROBE_GAME", help="Only the events of this game."),
    ] = None,
    label: options.Label = None,
    dead: Annotated[
        bool,
        typer.Option(
            "--dead",
            envvar="HEALTHPROBE_DEAD",
            help="Show the dead letters instead: events that a publisher refused, with the reason.",
            rich_help_panel=DEAD_LETTERS,
        ),
    ] = False,
    replay_dead: Annotated[
        bool,
        typer.Option(
            "--replay-dead",
            help="Let the run that uses this log deliver all of them again; exit 1 if one is refused again.",
            rich_help_panel=DEAD_LETTERS,
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show the events of the log, oldest first.

    With --json, or if standard output is not a terminal: the event as it is
    published, one a line, with id, sequence, game_id, container_id, event_type,
    occurred_at, details, and labels if the game had any. With --dead: publisher, parked_at, reason, due and
    the event; with --replay-dead: asked_for, delivered, refused and waiting.

    Example: [b]healthprobe events --follow --game game-7[/b]
    """
    if replay_dead and (game is not None or label):
        left_out = "--label" if game is None else "--game"
        raise ConfigurationError(f"--replay-dead delivers the dead letters of every game: leave {left_out} out")
    wanted = Wanted(game, parse_selector(label or ()))
    if follow and (dead or replay_dead):
        raise ConfigurationError("--follow follows the log, and dead letters are not in it: leave one of them out")
    if replay_dead:
        if not replay_dead_letters(log, as_json=as_json):
            raise typer.Exit(errors.BAD)
    elif dead:
        show_dead_letters(log, wanted, as_json=as_json)
    else:
        show_events(log, wanted, follow=follow, as_json=as_json)
