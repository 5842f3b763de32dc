"""`healthprobe events`: what the log tells, and what a publisher would not take."""

from __future__ import annotations

from typing import Annotated

import typer

from healthprobe.ports import ConfigurationError
from healthprobe.surfaces.cli import errors, options
from healthprobe.surfaces.settings import DEFAULT_DATABASE

DEAD_LETTERS = "Dead letters"


def events(
    log: options.ReadLog = DEFAULT_DATABASE,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            "-f",
            envvar="HEALTHPROBE_FOLLOW",
            help="Go on with new events as they come, until Ctrl-C. A log that is away is waited for.",
        ),
    ] = False,
    game: Annotated[
        str | None,
        typer.Option("--game", metavar="ID", envvar="HEALTHPROBE_GAME", help="The events of this game alone."),
    ] = None,
    dead: Annotated[
        bool,
        typer.Option(
            "--dead",
            envvar="HEALTHPROBE_DEAD",
            help="The events that a publisher refused for good, and why, instead.",
            rich_help_panel=DEAD_LETTERS,
        ),
    ] = False,
    replay_dead: Annotated[
        bool,
        typer.Option(
            "--replay-dead",
            envvar="HEALTHPROBE_REPLAY_DEAD",
            help="Let the run that uses this log send all of them again; exit 1 if one is refused once more.",
            rich_help_panel=DEAD_LETTERS,
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show the health events of the log, oldest first: each transition once, for ever.

    With --json, or where standard output is not a terminal: the event as it is
    published, one a line, with id, sequence, game_id, container_id, event_type,
    occurred_at and details. With --dead: publisher, parked_at, reason, due and
    the event; with --replay-dead: asked_for, delivered, refused and waiting.

    Example: [b]healthprobe events --follow --game game-7[/b]
    """
    if replay_dead and game is not None:
        raise ConfigurationError("--replay-dead sends the dead letters of every game: leave --game out")
    if follow and (dead or replay_dead):
        raise ConfigurationError("--follow follows the log, and dead letters are no part of it: leave one of them out")
    if replay_dead:
        from healthprobe.surfaces.dead_letters import replay_dead_letters

        if not replay_dead_letters(log, as_json=as_json):
            raise typer.Exit(errors.BAD)
    elif dead:
        from healthprobe.surfaces.dead_letters import show_dead_letters

        show_dead_letters(log, game=game, as_json=as_json)
    else:
        from healthprobe.surfaces.reading import show_events

        show_events(log, game=game, follow=follow, as_json=as_json)
