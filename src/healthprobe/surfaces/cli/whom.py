"""Whom to ask: the options that name a run or a log, and which of them counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from healthprobe.ports import ConfigurationError
from healthprobe.surfaces.cli import options
from healthprobe.surfaces.settings import DEFAULT_AT, DEFAULT_DATABASE

if TYPE_CHECKING:
    from healthprobe.surfaces.client.whom import Whom

At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="URL",
        envvar="HEALTHPROBE_AT",
        show_default=DEFAULT_AT,
        help="The run to ask, by the address that it listens at. Its token, where it wants one, is read from "
        "$HEALTHPROBE_TOKEN.",
    ),
]
InsteadLog = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="URL",
        envvar=["HEALTHPROBE_LOG", options.CLUSTER],
        show_default=f"{DEFAULT_DATABASE}, where nobody listens and --at names nobody",
        help=f"Ask no run but read this log: {options.LOG_URLS}. In a variable: only where no run answers.",
    ),
]


def whom(context: typer.Context, at: str | None, log: str | None) -> Whom:
    """Whom to ask. Raises ConfigurationError where the command line names both a run and a log.

    What the command line names counts before what the environment does. Where nobody is named, the run that listens
    where runs do, and if there is none, the log of this folder.
    """
    from healthprobe.surfaces.client.whom import Whom

    named = {name for name in ("at", "log") if _is_on_command_line(context, name)}
    if named == {"at", "log"}:
        raise ConfigurationError("--at asks a run and --log reads a log: leave one of them out")
    if "log" in named:
        return Whom(at=None, log=log)
    if at is not None:
        return Whom(at=at)
    return Whom(
        at=None, instead=log or (DEFAULT_DATABASE if Path(DEFAULT_DATABASE.partition(":")[2]).exists() else None)
    )


def _is_on_command_line(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
