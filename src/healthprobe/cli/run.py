"""`healthprobe run`: probes the fleet until it is stopped."""

from __future__ import annotations

from dataclasses import asdict

import typer

from healthprobe._util.lean_imports import import_without
from healthprobe._util.text import counted, printable
from healthprobe.app.settings import (
    DEFAULT_ALERT_GROUP,
    DEFAULT_ALERT_WAIT,
    DEFAULT_DATABASE,
    DEFAULT_FAILURES,
    DEFAULT_HEARTBEAT,
    DEFAULT_INTERVAL,
    DEFAULT_MAX_AGE,
    DEFAULT_TIMEOUT,
    TOKEN,
    WEBHOOK_SECRET,
    Settings,
)
from healthprobe.app.settings_file.options import NO_FILE, secret_of
from healthprobe.app.settings_file.reading import SettingsFile
from healthprobe.cli import errors, options
from healthprobe.domain.alarms.alert import AlertRoute
from healthprobe.domain.policy import Policy


def run(
    context: typer.Context,
    _config: options.Config = None,
    check: options.CheckOnly = False,
    records: options.Records = None,
    log: options.Log = None,
    publish: options.Publish = None,
    notify: options.Notify = None,
    alert: options.Alert = None,
    interval: options.Interval = DEFAULT_INTERVAL,
    timeout: options.Timeout = DEFAULT_TIMEOUT,
    failures: options.Failures = DEFAULT_FAILURES,
    confirm: options.Confirm = None,
    listen: options.Listening = None,
    cluster: options.Cluster = None,
    records_query: options.RecordsQuery = None,
    retain: options.Retain = None,
    ended_events: options.EndedEvents = False,
    source: options.Source = None,
    successes: options.Successes = 1,
    grace: options.Grace = None,
    flap: options.Flap = None,
    hold: options.Hold = None,
    canary: options.Canary = None,
    alert_group: options.AlertGroup = DEFAULT_ALERT_GROUP,
    alert_wait: options.AlertWait = DEFAULT_ALERT_WAIT,
    page_url: options.PageUrl = None,
    identity_header: options.IdentityHeader = None,
    allow_network: options.AllowNetwork = None,
    deny_network: options.DenyNetwork = None,
    max_concurrency: options.MaxConcurrency = None,
    connections: options.Connections = "reuse",
    keep_alive_max_age: options.KeepAliveMaxAge = DEFAULT_MAX_AGE,
    lease: options.Lease = None,
    shard: options.Shard = None,
    otlp: options.OtlpUrl = None,
    metric_label: options.MetricLabel = None,
    heartbeat: options.HeartbeatUrl = None,
    heartbeat_every: options.HeartbeatEvery = DEFAULT_HEARTBEAT,
    log_level: options.LogLevel = None,
    as_json: options.AdvancedJson = False,
) -> None:
    """Probe every running game and record when one fails or recovers.

    A probe is GET {endpoint}/healthz. Anything but a 200 within the timeout is
    a failure. --failures in a row make a probe_failed, the next success makes a
    probe_recovered. Each transition is written to the log before it is
    published: after a kill, the next run publishes what is left.

    Ctrl-C or SIGTERM stops the probes, writes and delivers what is decided, and
    exits with 0 within the timeout plus 2s. A second signal exits at once.

    Example: [b]healthprobe run --records file:engines.yaml --interval 10s[/b]
    """
    import_without("structlog", "rich")  # 5 MB for the colours of tracebacks that are logged as plain text
    from healthprobe.app.console import run_console
    from healthprobe.app.run import run_service

    file: SettingsFile = context.obj or NO_FILE
    token, token_warning = secret_of(TOKEN, file.token)
    webhook_secret, webhook_warning = secret_of(WEBHOOK_SECRET, file.webhook_secret)
    home = cluster or DEFAULT_DATABASE
    settings = Settings(
        records=records or home,
        log=log or home,
        records_query=records_query,
        retain=retain,
        ended_events=ended_events,
        source=source,
        publish=tuple(publish or ("stdout:",)),
        notify=tuple(notify or ()),
        webhook_secret=webhook_secret,
        alerts=(*file.alerts, *(AlertRoute(url) for url in dict.fromkeys(alert or ()))),
        alert_group=alert_group,
        alert_wait=alert_wait,
        page_url=page_url,
        interval=interval,
        timeout=timeout,
        failures=failures,
        policy=Policy(successes=successes, confirm=confirm, grace=grace or 0.0, flap=flap, hold=hold),
        probe=file.probe,
        canaries=tuple(canary or ()),
        identity_header=identity_header,
        allow_networks=tuple(allow_network or ()),
        deny_networks=tuple(deny_network or ()),
        max_concurrency=max_concurrency,
        keep_connections=connections == "reuse",
        keep_alive_max_age=keep_alive_max_age,
        listen=listen,
        token=token,
        otlp=otlp,
        metric_label=metric_label,
        heartbeat=heartbeat,
        heartbeat_every=heartbeat_every,
        cluster=cluster,
        lease=lease,
        shard=shard,
    )
    warnings = [*file.warnings, *filter(None, (token_warning, webhook_warning))]
    if check:
        raise typer.Exit(_check(settings, file, warnings, as_json=as_json))
    console = run_console(as_json=as_json, log_level=log_level)
    for warning in warnings:
        console.logger.warning("a secret is not kept", err=warning)
    run_service(settings, console)


def _check(settings: Settings, file: SettingsFile, warnings: list[str], *, as_json: bool) -> int:
    """Writes what a check-up found, as a table to a terminal or as JSON lines, and returns the exit code."""
    from rich.text import Text

    from healthprobe.app import terminal
    from healthprobe.app.checkup import Finding, Verdict, check_up
    from healthprobe.telemetry.logs import configure_logs

    source = f"{counted(file.count, 'setting')} in the file" if file.path else "no settings file"
    findings = [
        Finding("settings", file.path, Verdict.OK, source),
        *(Finding("secret", "", Verdict.WARNING, warning) for warning in warnings),
        *check_up(settings, configure_logs("error")),
    ]
    if terminal.people_watch(json_wanted=as_json):
        table = terminal.table({"part": {}, "": {}, "found": terminal.FOLDS})
        styles = {Verdict.OK: terminal.RECOVERED, Verdict.WARNING: terminal.UNCERTAIN, Verdict.WRONG: terminal.FAILED}
        for each in findings:
            where = "" if each.message.startswith(each.where) else f"{printable(each.where)}  "
            found = Text.assemble((where, "bold"), printable(each.message))
            table.add_row(each.part, Text(each.verdict.value, styles[each.verdict]), found)
        terminal.console_for().print(table)
    else:
        for each in findings:
            terminal.write_json(asdict(each))
    return errors.USAGE if any(each.verdict is Verdict.WRONG for each in findings) else errors.DONE
