"""Errors of the command line: one line on standard error that says what to change, and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import typer

DONE = 0
BAD = 1
"""What was asked about is bad."""

USAGE = 2
INTERRUPTED = 130
"""Ctrl-C, in the shells' numbering."""

BUG = 70
"""An error in healthprobe itself, in the numbering of sysexits.h."""

TRACEBACK_VARIABLE = "HEALTHPROBE_TRACEBACK"


def report(message: str) -> None:
    """Writes the message as one line on standard error."""
    sys.stderr.write(f"healthprobe: {' '.join(message.split())}\n")
    sys.stderr.flush()


def report_usage_error(error: typer.TyperException) -> None:
    """Reports what is wrong with a command line or with the environment variable of an option."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "healthprobe"
    parameter = getattr(error, "param", None)
    if parameter is not None and error.message:
        # Typer lets pydantic put its own words before those of a parser.
        message = f"{_origin(parameter, context)}: {error.message.removeprefix('Value error, ')}"
    elif context is not None and error.message.startswith("Missing command"):
        message = f"no command given, choose from {', '.join(context.command.commands)}"
    else:
        message = error.format_message()
    report(f"{message.rstrip('.')} (see {command} --help)")


def report_bug(error: BaseException) -> None:
    """Reports an error in healthprobe itself, with a traceback if HEALTHPROBE_TRACEBACK is set."""
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)
    report(f"a bug in healthprobe: {error!r} (set {TRACEBACK_VARIABLE}=1 to see where; please report it)")


def _origin(parameter: Any, context: typer.Context | None) -> str:
    """Returns the name of the option, or where its value came from: a variable, or a line of the settings file."""
    names: list[str] = list(parameter.opts)
    source = context.get_parameter_source(parameter.name) if context is not None else None
    if source is not None and source.name == "ENVIRONMENT":
        variables = [parameter.envvar] if isinstance(parameter.envvar, str) else list(parameter.envvar)
        return next(variable for variable in variables if os.environ.get(variable))
    if source is not None and source.name == "DEFAULT_MAP" and context is not None and context.obj is not None:
        place: str = context.obj.place(parameter.name)
        return place
    return names[0]
