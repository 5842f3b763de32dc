"""`healthprobe relays`: who has had how much of the log."""

from __future__ import annotations

from typing import Annotated

import typer

from healthprobe.surfaces.cli import errors, options
from healthprobe.surfaces.settings import DEFAULT_DATABASE


def relays(
    log: options.ReadLog = DEFAULT_DATABASE,
    forget: Annotated[
        str | None,
        typer.Option(
            "--forget",
            metavar="NAME",
            envvar="HEALTHPROBE_FORGET",
            help="Forget this publisher, which is no more: --retain keeps nothing for it any longer. "
            "If it comes back, it gets the whole log.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show how far each publisher got: how many events it is behind, and its dead letters.

    With --json, or where standard output is not a terminal: one object a line,
    with publisher, lag and dead_letters.

    Example: [b]healthprobe relays --log postgresql://db/platform[/b]
    """
    from healthprobe.surfaces.relays import forget_relay, show_relays

    if forget is None:
        show_relays(log, as_json=as_json)
    elif not forget_relay(log, forget):
        raise typer.Exit(errors.BAD)
