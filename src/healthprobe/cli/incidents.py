"""`healthprobe incidents`: open and ended incidents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime

import uvloop
from rich.table import Table
from rich.text import Text

from healthprobe._util.duration import two_units
from healthprobe._util.text import printable
from healthprobe.app import terminal
from healthprobe.app.run import exit_cleanly_at_once, until_signal
from healthprobe.app.settings import DEFAULT_DATABASE
from healthprobe.app.urls import Adapters
from healthprobe.cli import options
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails
from healthprobe.domain.incident import Incident
from healthprobe.domain.incident import incidents as incidents_of
from healthprobe.ports import HealthEventLog, LogError

_PAGE = 1000
_POLL_INTERVAL = 0.25
_RETRY_INTERVAL = 1.0


def show_events(url: str, *, game: str | None, follow: bool, as_json: bool) -> None:
    """Writes the events of the log at a URL, or of one game; with `follow` until SIGINT or SIGTERM."""
    if not follow:
        uvloop.run(_show_events(url, game=game, follow=False, as_json=as_json))
        return
    exit_cleanly_at_once()
    uvloop.run(until_signal(_show_events(url, game=game, follow=True, as_json=as_json)))


def show_incidents(url: str, *, as_json: bool) -> None:
    """Writes the incidents of the log at a URL, open ones first, the longest first."""
    now = datetime.now(UTC)
    found = read_incidents(url, now)
    if not terminal.people_watch(json_wanted=as_json):
        for incident in found:
            terminal.write_json(incident.as_document(now))
        return
    terminal.console_for().print(_table(found, now) if found else "No incident in this log.")


def read_incidents(url: str, now: datetime) -> list[Incident]:
    """Returns the incidents of the log at a URL, open ones first, the longest at `now` first."""
    found = incidents_of(uvloop.run(_read_events(url)))
    found.sort(key=lambda incident: (not incident.is_open, -incident.lasted(now)))
    return found


def read_events_of(url: str, game: str) -> list[HealthEvent]:
    """Returns the events of a game in the log at a URL, oldest first."""
    return [event for event in uvloop.run(_read_events(url)) if event.game_id == game]


async def _show_events(url: str, *, game: str | None, follow: bool, as_json: bool) -> None:
    people = terminal.people_watch(json_wanted=as_json)
    console = terminal.console_for()
    adapters = Adapters(existing=True)
    try:
        log = await adapters.log(url)
        async with aclosing(_entries(log, follow=follow)) as entries:
            async for event in entries:
                if game is not None and event.game_id != game:
                    continue
                if people:
                    terminal.print_line(console, terminal.transition_text(event, dated=True))
                else:
                    terminal.write_json(event.as_document())
    finally:
        await adapters.aclose()


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
            yield entry.event
        if not page:
            if not follow:
                return
            await asyncio.sleep(_POLL_INTERVAL)


async def _read_events(url: str) -> list[HealthEvent]:
    adapters = Adapters(existing=True)
    try:
        log = await adapters.log(url)
        return [event async for event in _entries(log, follow=False)]
    finally:
        await adapters.aclose()


def _table(found: list[Incident], now: datetime) -> Table:
    shown = terminal.table(
        {
            "game": {**terminal.FOLDS, "style": "bold"},
            "failed": {},
            "lasted": {"justify": "right"},
            "state": {},
            "why": terminal.GIVES_WAY,
        }
    )
    for incident in found:
        details = incident.failed.details
        shown.add_row(
            printable(incident.game_id),
            incident.failed.occurred_at.astimezone().strftime(terminal.DATED),
            two_units(incident.lasted(now).total_seconds(), decimals=1),
            Text("open", terminal.FAILED) if incident.is_open else Text("recovered", terminal.RECOVERED),
            terminal.cut_to_fit(details.last_error if isinstance(details, ProbeFailedDetails) else ""),
        )
    return shown


def incidents(log: options.ReadLog = DEFAULT_DATABASE, as_json: options.Json = False) -> None:
    """Show the incidents of the log, open ones first, the longest first.

    An incident lasts from a game's probe_failed to its probe_recovered. With
    --json, or if standard output is not a terminal: one object per line, with
    game_id, container_id, open, failed_at, recovered_at (null while open),
    duration_s, last_status and last_error.

    Example: [b]healthprobe incidents --log sqlite:healthprobe.db[/b]
    """
    show_incidents(log, as_json=as_json)
