"""`healthprobe demo`: a run on engines of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from healthprobe._util.duration import Duration, parse_duration
from healthprobe.app.settings import DEFAULT_FAILURES, TOKEN, WEBHOOK_SECRET, Settings
from healthprobe.app.settings_file.options import secret_of
from healthprobe.cli import options
from healthprobe.web.listen_address import ListenAddress, parse_listen_address

DEMO_INTERVAL = Duration(1)
DEMO_TIMEOUT = Duration(0.4)
ANY_PORT = ListenAddress("127.0.0.1", 0)

For = Annotated[
    Duration | None,
    typer.Option(
        "--for",
        metavar="DURATION",
        envvar="HEALTHPROBE_FOR",
        parser=parse_duration,
        show_default="until Ctrl-C",
        help="How long, as in 30s.",
    ),
]
DemoRecords = Annotated[
    str | None,
    typer.Option(
        "--records",
        metavar="URL",
        envvar="HEALTHPROBE_DEMO_RECORDS",
        show_default="a temporary file",
        help="The store of the demo's engines: [b]sqlite:[/b]PATH.",
    ),
]
DemoListening = Annotated[
    ListenAddress | None,
    typer.Option(
        "--listen",
        metavar="HOST:PORT|off",
        envvar="HEALTHPROBE_DEMO_LISTEN",
        parser=parse_listen_address,
        show_default="any free port of 127.0.0.1",
        help="Where to serve the page; the demo prints its address.",
    ),
]
DemoLog = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="URL",
        envvar="HEALTHPROBE_DEMO_LOG",
        show_default="a temporary file",
        help="The log of transitions, if it is to be kept: [b]sqlite:[/b]PATH.",
    ),
]


def demo(
    for_: For = None,
    records: DemoRecords = None,
    log: DemoLog = None,
    publish: options.Publish = None,
    notify: options.Notify = None,
    interval: options.Interval = DEMO_INTERVAL,
    timeout: options.Timeout = DEMO_TIMEOUT,
    failures: options.Failures = DEFAULT_FAILURES,
    max_concurrency: options.MaxConcurrency = None,
    connections: options.Connections = "reuse",
    listen: DemoListening = ANY_PORT,
    otlp: options.OtlpUrl = None,
    log_level: options.LogLevel = None,
    as_json: options.AdvancedJson = False,
) -> None:
    """Watch a dozen real engines crash, hang, answer 503, flap and recover.

    The engines run on this machine in a process of their own; prober, store,
    log and publisher are those of healthprobe run. All files are removed at the
    end.

    Example: [b]healthprobe demo --for 30s[/b]
    """
    from healthprobe.app.demo import run_demo

    settings = Settings(
        records=records or "",
        log=log or "",
        publish=tuple(publish or ("stdout:",)),
        notify=tuple(notify or ()),
        webhook_secret=secret_of(WEBHOOK_SECRET)[0],
        interval=interval,
        timeout=timeout,
        failures=failures,
        max_concurrency=max_concurrency,
        keep_connections=connections == "reuse",
        listen=listen,
        token=secret_of(TOKEN)[0],
        otlp=otlp,
    )
    run_demo(settings, duration=for_, as_json=as_json, log_level=log_level)
