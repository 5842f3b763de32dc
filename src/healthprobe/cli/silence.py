"""`healthprobe silence`: holds back the alarms of games for a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
import uvloop

from healthprobe._util.duration import Duration, parse_duration
from healthprobe._util.text import counted, printable
from healthprobe.app import terminal
from healthprobe.app.editable_records import store_at
from healthprobe.app.settings import DEFAULT_DATABASE
from healthprobe.app.url_names import scheme_of, shown
from healthprobe.cli import errors, options
from healthprobe.ports import ConfigurationError

_LONGEST_WHY = 200


def silence_games(url: str, game_ids: Sequence[str], lasting: Duration | None, why: str) -> bool:
    """Silences games in the store at a URL, or ends their silence. Returns whether the store has all of them.

    Raises ConfigurationError for a store that cannot be edited here, and for a reason that is not one line of text.
    """
    if scheme_of(url) in {"file", "http", "https"}:
        raise ConfigurationError(
            f"--records {shown(url)} cannot be edited here: write silenced_until: 2026-11-25T14:00:00Z there"
        )
    if not why.isprintable() or len(why) > _LONGEST_WHY:
        raise ConfigurationError(f"--why: write one line of at most {_LONGEST_WHY} characters")
    until = None if lasting is None else datetime.now(UTC) + timedelta(seconds=lasting)
    known = uvloop.run(_silence(url, game_ids, until, why))
    if known:
        terminal.report(_told(known, until))
    unknown = [game_id for game_id in dict.fromkeys(game_ids) if game_id not in known]
    if unknown:
        terminal.report(f"not in {shown(url)}: {', '.join(map(printable, unknown))}")
    return not unknown


async def _silence(url: str, game_ids: Sequence[str], until: datetime | None, why: str) -> set[str]:
    async with store_at(url, existing=True) as store:
        return await store.silence(game_ids, until, why)


def _told(known: set[str], until: datetime | None) -> str:
    names = printable(next(iter(known))) if len(known) == 1 else counted(len(known), "game")
    if until is None:
        return f"{names}: no longer silenced"
    return f"{names}: silenced until {until.astimezone():%H:%M:%S} ({until:%Y-%m-%d %H:%M:%S} UTC)"


def silence(
    games: Annotated[list[str], typer.Argument(metavar="GAME...", help="Ids of games.")],
    for_: Annotated[
        Duration | None,
        typer.Option(
            "--for",
            metavar="DURATION",
            envvar="HEALTHPROBE_SILENCE_FOR",
            parser=parse_duration,
            show_default=False,
            help="How long, as in 10m.",
        ),
    ] = None,
    why: Annotated[
        str,
        typer.Option("--why", metavar="TEXT", envvar="HEALTHPROBE_SILENCE_WHY", help="Why; shown with the game."),
    ] = "",
    end: Annotated[bool, typer.Option("--end", help="End the silence now.")] = False,
    records: options.EditableRecords = DEFAULT_DATABASE,
) -> None:
    """Send no alarms of these games for a time; exit 1 if one of them is not in the store.

    The games are still probed and shown. A failure that lasts beyond the end of
    the silence is decided then; one that ends before it is never sent.

    Example: [b]healthprobe silence game-7 --for 10m --why "new version"[/b]
    """
    if (for_ is None) != end:
        raise ConfigurationError("write how long, as in --for 10m, or --end")
    if not silence_games(records, games, for_, why):
        raise typer.Exit(errors.BAD)
