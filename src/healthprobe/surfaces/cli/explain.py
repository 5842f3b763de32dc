"""`healthprobe explain`: why a game stands as it does."""

from __future__ import annotations

from typing import Annotated

import typer

from healthprobe.surfaces.cli import errors, options
from healthprobe.surfaces.cli.whom import At, InsteadLog, whom


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
    from healthprobe.surfaces.client.explain import show_explanation

    if not show_explanation(whom(context, at, log), game, as_json=as_json):
        raise typer.Exit(errors.BAD)
