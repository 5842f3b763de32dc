"""Errors as the command line tells them: one line on standard error that says what to change, and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import typer

DONE = 0
BAD = 1
USAGE = 2
INTERRUPTED = 130
"""Ctrl-C, as shells number it, in a command that has more to do than to wait for one."""

BUG = 70
"""An error of our own, as sysexits.h numbers it: never to be mistaken for a verdict or for a wrong command line."""

TRACEBACK_VARIABLE = "HEALTHPROBE_TRACEBACK"


def complain(message: str) -> None:
    """Tell `message` on one line of standard error."""
    sys.stderr.write(f"healthprobe: {' '.join(message.split())}\n")
    sys.stderr.flush()


def complain_of_usage(error: typer.TyperException) -> None:
    """Tell what is wrong with a command line, or with the environment variable that stands in for an option."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "healthprobe"
    parameter = getattr(error, "param", None)
    if parameter is not None and error.message:
        # Typer lets pydantic put its own words before those of a parser.
        message = f"{_where_it_was_set(parameter, context)}: {error.message.removeprefix('Value error, ')}"
    elif context is not None and error.message.startswith("Missing command"):
        message = f"no command given, choose from {', '.join(context.command.commands)}"
    else:
        message = error.format_message()
    complain(f"{message.rstrip('.')} (see {command} --help)")


def complain_of_bug(error: BaseException) -> None:
    """Tell of an error of ours; the traceback is there for whoever asks for it."""
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)
    complain(f"a bug of healthprobe itself: {error!r} (set {TRACEBACK_VARIABLE}=1 to see where; please report it)")


def _where_it_was_set(parameter: Any, context: typer.Context | None) -> str:
    """The option's name, or the variable's where the value came from the environment."""
    names: list[str] = list(parameter.opts)
    source = context.get_parameter_source(parameter.name) if context is not None else None
    if source is not None and source.name == "ENVIRONMENT":
        variables = [parameter.envvar] if isinstance(parameter.envvar, str) else list(parameter.envvar)
        return next(variable for variable in variables if os.environ.get(variable))
    return names[0]
