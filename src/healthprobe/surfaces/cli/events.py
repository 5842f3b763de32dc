"""`healthprobe events`: what the log tells."""

from __future__ import annotations

from typing import Annotated

import typer

from healthprobe.surfaces.cli import options
from healthprobe.surfaces.settings import DEFAULT_DATABASE


def events(
    log: options.ReadLog = DEFAULT_DATABASE,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", "-f", envvar="HEALTHPROBE_FOLLOW", help="Go on with new events as they come, until Ctrl-C."
        ),
    ] = False,
    game: Annotated[
        str | None,
        typer.Option("--game", metavar="ID", envvar="HEALTHPROBE_GAME", help="The events of this game alone."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show the health events of the log, oldest first: each transition once, for ever.

    With --json, or where standard output is not a terminal: the event as it is
    published, one a line, with id, sequence, game_id, container_id, event_type,
    occurred_at and details.

    Example: [b]healthprobe events --follow --game game-7[/b]
    """
    from healthprobe.surfaces.reading import show_events

    show_events(log, game=game, follow=follow, as_json=as_json)
