"""`healthprobe silence`: maintenance, without an alarm."""

from __future__ import annotations

from typing import Annotated

import typer

from healthprobe.ports import ConfigurationError
from healthprobe.surfaces.cli import errors, options
from healthprobe.surfaces.durations import Duration, parse_duration
from healthprobe.surfaces.settings import DEFAULT_DATABASE


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
        str, typer.Option("--why", metavar="TEXT", envvar="HEALTHPROBE_SILENCE_WHY", help="Told to whoever asks.")
    ] = "",
    end: Annotated[
        bool, typer.Option("--end", envvar="HEALTHPROBE_SILENCE_END", help="End their silence now.")
    ] = False,
    records: options.EditableRecords = DEFAULT_DATABASE,
) -> None:
    """Tell nothing of these games for a time; exit 1 if one of them was not there.

    They are probed and shown all the while. What is wrong with one when its
    silence ends is decided then; what was wrong in between is never told.

    Example: [b]healthprobe silence game-7 --for 10m --why "new version"[/b]
    """
    from healthprobe.surfaces.silencing import silence as silenced

    if (for_ is None) != end:
        raise ConfigurationError("say how long, as in --for 10m, or --end")
    if not silenced(records, games, for_, why):
        raise typer.Exit(errors.BAD)
