"""The entry point: the commands put together, and what every one of them promises about errors and exit codes."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from typer.main import get_command

from healthprobe._util.version import __version__
from healthprobe.cli import (
    check,
    cluster,
    demo,
    errors,
    events,
    explain,
    incidents,
    relays,
    run,
    runtimes,
    silence,
    status,
    top,
)
from healthprobe.ports import ConfigurationError, HealthprobeError

app = typer.Typer(
    name="healthprobe",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Try it: [b]healthprobe demo[/b] runs real engines that crash, hang and recover. "
    "Every option of a command has an environment variable, which its --help names. "
    "Exit codes: 0 done, 1 what was asked about is bad, 2 usage or configuration.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"healthprobe {__version__}")
        raise typer.Exit


@app.callback()
def _healthprobe(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Tells which game engine has stopped answering, and when it is back: once each, for certain."""


app.command("run", rich_help_panel="Watch")(run.run)
app.command("check", rich_help_panel="Watch")(check.check)
app.command("demo", rich_help_panel="Watch")(demo.demo)
app.command("status", rich_help_panel="Watch")(status.status)
app.command("top", rich_help_panel="Watch")(top.top)
app.command("explain", rich_help_panel="Watch")(explain.explain)
app.command("cluster", rich_help_panel="Manage")(cluster.cluster)
app.add_typer(runtimes.app, name="runtimes", rich_help_panel="Manage")
app.command("silence", rich_help_panel="Manage")(silence.silence)
app.command("events", rich_help_panel="Look back")(events.events)
app.command("incidents", rich_help_panel="Look back")(incidents.incidents)
app.command("relays", rich_help_panel="Look back")(relays.relays)


def main() -> None:
    """Run the command line in `sys.argv` and exit with its code."""
    sys.exit(exit_code_of(sys.argv[1:]))


def exit_code_of(arguments: list[str]) -> int:
    """Run one command line. Whatever goes wrong is told in one line on standard error; nothing is raised."""
    try:
        return _invoke(arguments)
    except typer.TyperException as error:
        errors.complain_of_usage(error)
        return errors.USAGE
    except HealthprobeError as error:
        errors.complain(str(error))
        return errors.USAGE if isinstance(error, ConfigurationError) else errors.BAD
    except KeyboardInterrupt:
        return errors.INTERRUPTED
    except BrokenPipeError:
        _stop_writing()
        return errors.DONE
    except Exception as error:  # noqa: BLE001 - a bug is told in one line, whatever it is
        errors.complain_of_bug(error)
        return errors.BUG


def _invoke(arguments: list[str]) -> int:
    """Run the command without Typer's own handling of errors, which takes several lines for each."""
    command = get_command(app)
    try:
        with command.make_context("healthprobe", arguments) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    finally:
        sys.stdout.flush()
    return errors.DONE


def _stop_writing() -> None:
    """Whoever read standard output has seen enough (`| head -1`): let Python's flush at exit go nowhere, silently."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
