"""The entry point: the commands, and the exit code and the error line of each."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.main import get_command

from healthprobe.cli import errors
from healthprobe.ports import ConfigurationError, HealthprobeError


class Listing(NamedTuple):
    """A command in the list of commands. It is in the module of its name, as a function or as a Typer `app`."""

    panel: str
    help: str


COMMANDS = {
    "run": Listing("Watch", "Probe every running game and record when one fails or recovers."),
    "check": Listing("Watch", "Probe endpoints once, now."),
    "demo": Listing("Watch", "Watch a dozen real engines crash, hang and recover."),
    "status": Listing("Watch", "Show the fleet on one screen."),
    "top": Listing("Watch", "Watch a run live, in a terminal."),
    "explain": Listing("Watch", "Explain the state of one game."),
    "cluster": Listing("Manage", "Show the instances that share a fleet."),
    "silence": Listing("Manage", "Send no alarms for some games for a time."),
    "events": Listing("Look back", "Show the events of the log, and the dead letters."),
    "incidents": Listing("Look back", "Show open and ended incidents."),
    "report": Listing("Look back", "Show how long games were down, and their availability."),
    "relays": Listing("Look back", "Show how far each publisher got."),
    "config": Listing("Manage", "Write a sample of the settings file, or its schema."),
    "runtimes": Listing("Manage", "Edit the store of runtime records."),
}

_COMPLETION = "_HEALTHPROBE_COMPLETE"
"""Set by the shell's completion script."""

_EPILOG = (
    "Try it: [b]healthprobe demo[/b] runs real engines that crash, hang and recover. "
    "The --help of a command names the environment variable of each option. "
    "Exit codes: 0 done, 1 what was asked about is bad, 2 usage or configuration."
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from healthprobe._util.version import __version__

        typer.echo(f"healthprobe {__version__}")
        raise typer.Exit


def _healthprobe(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Probe game engines and record each failure and recovery exactly once."""


def _not_imported() -> None:
    raise NotImplementedError


def application(names: Collection[str] = tuple(COMMANDS)) -> typer.Typer:
    """Returns the command line. Only the commands in `names` are imported and can be run; the others are listed."""
    app = typer.Typer(name="healthprobe", rich_markup_mode="rich", pretty_exceptions_enable=False, epilog=_EPILOG)
    app.callback()(_healthprobe)
    for name, (panel, text) in COMMANDS.items():
        if name not in names:
            app.command(name, rich_help_panel=panel, help=text)(_not_imported)
            continue
        module = import_module(f"healthprobe.cli.{name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name, rich_help_panel=panel, short_help=text)
        else:
            app.command(name, rich_help_panel=panel, short_help=text)(getattr(module, name))
    return app


def main() -> None:
    """Runs the command line in `sys.argv` and exits with its code."""
    if _COMPLETION in os.environ:
        application()(prog_name="healthprobe")
    sys.exit(exit_code_of(sys.argv[1:]))


def exit_code_of(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code. Writes an error as one line on standard error; never raises."""
    try:
        return _invoke(arguments)
    except typer.TyperException as error:
        errors.report_usage_error(error)
        return errors.USAGE
    except HealthprobeError as error:
        errors.report(str(error))
        return errors.USAGE if isinstance(error, ConfigurationError) else errors.BAD
    except KeyboardInterrupt:
        return errors.INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return errors.DONE
    except Exception as error:  # noqa: BLE001  a bug, too, is reported in one line
        errors.report_bug(error)
        return errors.BUG


def _invoke(arguments: list[str]) -> int:
    """Runs the command without Typer's own error handling, which writes several lines for each error."""
    command = get_command(application(arguments[:1]))
    try:
        with command.make_context("healthprobe", arguments, default_map=_defaults_of(arguments)) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    finally:
        sys.stdout.flush()
    return errors.DONE


def _defaults_of(arguments: list[str]) -> dict[str, Any] | None:
    """Returns what a command takes from the settings file of the runs here. `run` reads that file by itself."""
    path = os.environ.get("HEALTHPROBE_CONFIG")
    if not path or not arguments or "--help" in arguments:
        return None
    from healthprobe.cli.config import READERS, defaults_of

    return defaults_of(arguments[0], path) if arguments[0] in READERS else None


def _discard_output() -> None:
    """Sends standard output to /dev/null. Its reader has ended (`| head -1`), and Python still flushes it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
