"""`healthprobe status`: how the fleet stands, on one screen."""

from __future__ import annotations

import typer

from healthprobe.surfaces.cli import errors, options
from healthprobe.surfaces.cli.whom import At, InsteadLog, whom


def status(context: typer.Context, at: At = None, log: InsteadLog = None, as_json: options.Json = False) -> None:
    """Show on one screen how the fleet stands; exit 1 if a game is down or the prober in trouble.

    A run that was started with --listen is asked: the fleet in a sentence, how
    many games stand how, who is down, and how the prober itself does. A log
    tells only who is down.

    With --json, or where standard output is not a terminal: one object on a
    line, with source (run or log), at, told, down, incidents (open ones), and
    from a run games, failing, unknown, healthy, prober and publishers.

    Example: [b]healthprobe status --at http://prober:8600[/b]
    """
    from healthprobe.surfaces.client.status import show_status

    if not show_status(whom(context, at, log), as_json=as_json):
        raise typer.Exit(errors.BAD)
