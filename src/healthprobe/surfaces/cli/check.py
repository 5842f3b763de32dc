"""`healthprobe check`: one probe each, now."""

from __future__ import annotations

from typing import Annotated

import typer

from healthprobe.surfaces.cli import errors, options
from healthprobe.surfaces.durations import Duration, parse_duration
from healthprobe.surfaces.settings import DEFAULT_TIMEOUT

CheckTimeout = Annotated[
    Duration,
    typer.Option(
        "--timeout",
        metavar="DURATION",
        envvar=["HEALTHPROBE_TIMEOUT", "RTMANAGER_PROBE_TIMEOUT"],
        parser=parse_duration,
        help="How long an engine has to answer. Units: ms, s, m, h, as in 500ms or 2s.",
    ),
]


def check(
    endpoints: Annotated[
        list[str], typer.Argument(metavar="URL...", help="Engine endpoints; each is asked at URL/healthz.")
    ],
    timeout: CheckTimeout = DEFAULT_TIMEOUT,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            envvar="HEALTHPROBE_VERBOSE",
            help="Tell on standard error what happens, step by step and one URL after the other: name, connection, "
            "TLS, request, response head, verdict.",
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Probe each endpoint once, all at once, and exit 1 if any of them is not healthy.

    With --json, or where standard output is not a terminal: one object a URL,
    in the order given, with endpoint, healthy, last_status (0 where there was
    no response), last_error (empty where healthy) and duration_ms. Where this
    machine is at fault, such as by too few open files, healthy is null; that
    exits 1 too. Credentials show as ***.

    Example: [b]healthprobe check http://10.0.0.7:8080 --verbose[/b]
    """
    from healthprobe.surfaces.checking import check_all, show_checks

    if verbose:
        from healthprobe.surfaces.tracing import trace_all

        checks = trace_all(endpoints, timeout)
    else:
        checks = check_all(endpoints, timeout)
    show_checks(checks, as_json=as_json)
    if not all(each.healthy for each in checks):
        raise typer.Exit(errors.BAD)
