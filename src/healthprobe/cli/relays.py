"""`healthprobe relays`: how far each publisher got."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
import uvloop

from healthprobe._util.text import printable
from healthprobe.app import terminal
from healthprobe.app.settings import DEFAULT_DATABASE
from healthprobe.app.urls import log_at
from healthprobe.cli import errors, options
from healthprobe.cli.events import ALL
from healthprobe.worker.relay import events_behind


@dataclass(frozen=True, slots=True)
class RelayState:
    """One publisher: `lag` is the number of events that it has not received, `dead_letters` of those it refused."""

    publisher: str
    lag: int
    dead_letters: int


def _show(url: str, *, as_json: bool) -> None:
    """Writes how far each publisher of the log at a URL got, those with the most lag first."""
    states = sorted(uvloop.run(_states(url)), key=lambda state: (-state.lag, state.publisher))
    if not terminal.people_watch(json_wanted=as_json):
        for state in states:
            terminal.write_json(asdict(state))
        return
    table = terminal.table(
        {
            "publisher": {**terminal.FOLDS, "style": "bold"},
            "behind": {"justify": "right"},
            "dead letters": {"justify": "right"},
        }
    )
    for state in states:
        table.add_row(printable(state.publisher), f"{state.lag:,}", f"{state.dead_letters:,}")
    terminal.console_for().print(table if states else "No publisher has received an event of this log.")


async def _states(url: str) -> list[RelayState]:
    async with log_at(url) as log:
        cursors = await log.all_cursors()
        behind = {name: await events_behind(log, cursor) for name, cursor in cursors.items()}
        letters = Counter(letter.publisher for letter in await log.dead_letters(ALL))
    return [RelayState(name, behind.get(name, 0), letters[name]) for name in sorted({*behind, *letters})]


async def _forget(url: str, name: str) -> bool:
    async with log_at(url) as log:
        return await log.forget_cursor(name)


def relays(
    log: options.ReadLog = DEFAULT_DATABASE,
    forget: Annotated[
        str | None,
        typer.Option(
            "--forget",
            metavar="NAME",
            help="Forget this publisher: --retain keeps no events for it any longer. If it comes back, it receives "
            "the whole log.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show how far each publisher got: its lag in events, and its dead letters.

    With --json, or if standard output is not a terminal: one object per line,
    with publisher, lag and dead_letters.

    Example: [b]healthprobe relays --log postgresql://db/platform[/b]
    """
    if forget is None:
        _show(log, as_json=as_json)
    elif not uvloop.run(_forget(log, forget)):
        terminal.report(f"this log has no publisher {forget}: healthprobe relays lists them")
        raise typer.Exit(errors.BAD)
