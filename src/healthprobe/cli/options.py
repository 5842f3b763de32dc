"""Options that commands share: their names, environment variables and help."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import typer

from healthprobe._util.duration import Duration, parse_duration, parse_retention
from healthprobe.app.settings import DEFAULT_DATABASE, DEFAULT_LEASE
from healthprobe.app.settings_file.options import VARIABLE, read_into
from healthprobe.domain.endpoint import InvalidEndpoint, masked, parse_endpoint
from healthprobe.domain.labels import parse_selector
from healthprobe.domain.policy import FlapRule
from healthprobe.domain.shard import Slice
from healthprobe.web.listen_address import ListenAddress, parse_listen_address

ADVANCED = "Advanced"
"""The panel of the options that few need."""

CLUSTER = "HEALTHPROBE_CLUSTER"
"""The variable with the URL of a cluster. Commands that read records or a log use those of the cluster if it is set."""

LOG_URLS = "[b]sqlite:[/b]PATH, [b]postgresql:[/b]//USER:PASSWORD@HOST/DATABASE or [b]nats:[/b]//HOST,HOST"

_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)%")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_FEWEST_TO_FLAP = 3
_URI_REFERENCE = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2}){1,500}")


def parse_count(text: str | int) -> int:
    """Returns a count in a row, from 1. Raises ValueError."""
    if isinstance(text, str) and not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is not a whole number: write one such as 3")
    if int(text) < 1:
        raise ValueError(f"{text!r} is below 1: write how many in a row, such as 3")
    return int(text)


def parse_concurrency(text: str) -> int | None:
    """Returns the most probes in flight, or None for `auto`. Raises ValueError."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is neither auto nor a number above zero: write auto, or a number such as 64")
    return int(text)


def parse_share(text: str | float) -> float:
    """Returns a share of the fleet, written as a percentage. Raises ValueError.

    >>> parse_share("50%")
    0.5
    """
    if isinstance(text, float):
        return text
    share = _SHARE.fullmatch(text)
    if share is None or not 0 < float(share[1]) < 100:
        raise ValueError(f"{text!r} is no share of a fleet: write one above 0% and below 100%, such as 50%")
    return float(share[1]) / 100


def parse_header_name(text: str) -> str:
    """Returns the name of a header. Raises ValueError."""
    if not _HEADER_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a header: write one such as X-Game-ID")
    return text


def parse_source(text: str) -> str:
    """Returns a source of events, a URI reference. Raises ValueError."""
    if not _URI_REFERENCE.fullmatch(text):
        raise ValueError(f"{text!r} is no URI: write one such as /healthprobe/staging or urn:example:staging")
    return text


def parse_flap(text: str | FlapRule) -> FlapRule:
    """Returns the number of transitions and the time that make a game flap. Raises ValueError.

    >>> parse_flap("6/1h")
    FlapRule(transitions=6, within=3600.0)
    """
    if isinstance(text, FlapRule):
        return text
    transitions, slash, within = text.partition("/")
    if not slash or not (transitions.isascii() and transitions.isdecimal()):
        raise ValueError(f"{text!r} is no rule for flapping: write transitions and a time, such as 6/1h")
    if int(transitions) < _FEWEST_TO_FLAP:
        raise ValueError(f"{text!r}: two transitions are one incident; write {_FEWEST_TO_FLAP} or more, such as 6/1h")
    return FlapRule(int(transitions), float(parse_duration(within)))


def parse_label(text: str) -> str:
    """Returns a label, written NAME=VALUE. Raises ValueError."""
    parse_selector([text])
    return text


def parse_metric_label(text: str) -> str:
    """Returns the name of a label that games can be counted by. Raises ValueError."""
    if "=" in text:
        raise ValueError(f"{text!r} is no name of a label: write one such as region")
    parse_selector([f"{text}="])
    if text == "state":
        raise ValueError("'state' is a label of the metric already: choose another")
    return text


def parse_alert_group(text: str) -> str:
    """Returns the label by which alerts are grouped, or `none`. Raises ValueError."""
    if not _LABEL_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a label: write host, none, or a label such as region")
    return text


def parse_page_url(text: str) -> str:
    """Returns the URL of the page. Raises ValueError, without credentials."""
    try:
        endpoint = parse_endpoint(text)
    except InvalidEndpoint as invalid:
        raise ValueError(f"{masked(text)}: {invalid}; write a URL such as https://ops.example/health") from None
    if endpoint.scheme == "unix" or endpoint.authorization is not None:
        raise ValueError(
            "people cannot follow a unix socket or a password: write a URL such as https://ops.example/health"
        )
    return endpoint.url


def parse_wait(text: str | Duration) -> Duration:
    """Returns how long to wait, which may be 0. Raises ValueError."""
    return Duration(0) if text in {"0", "0s"} else parse_duration(text)


def parse_shard(text: str | Slice) -> Slice:
    """Returns a part of the fleet, as in `2/5`. Raises ValueError."""
    if isinstance(text, Slice):
        return text
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal()):
        raise ValueError(f"{text!r} is no part of a fleet: write one such as 2/5")
    return Slice(int(number), int(count))


Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="PATH",
        envvar=VARIABLE,
        callback=read_into,
        is_eager=True,
        help="A settings file in TOML with any of these options, and with [b]\\[probe][/b] and [b]\\[\\[alerts]][/b]: "
        "[b]healthprobe config --example[/b] prints one. Options and variables win over it.",
        rich_help_panel=ADVANCED,
    ),
]
CheckOnly = Annotated[
    bool,
    typer.Option(
        "--check",
        help="Start nothing: check these settings and everything that they name, and write, create and send nothing. "
        "Exit code 2 if a run could not do its work.",
        rich_help_panel=ADVANCED,
    ),
]
Records = Annotated[
    str | None,
    typer.Option(
        "--records",
        metavar="URL",
        envvar="HEALTHPROBE_RECORDS",
        show_default=f"{DEFAULT_DATABASE}; with --cluster its bucket",
        help="Where the running games are listed: [b]sqlite:[/b]PATH (edited with healthprobe runtimes), "
        "[b]postgresql:[/b]//…, [b]file:[/b]PATH (JSON or YAML, read again when it changes), [b]https:[/b]//… "
        "(Prometheus http_sd) or [b]nats:[/b]//HOST,HOST/BUCKET (a key-value bucket).",
    ),
]
Log = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="URL",
        envvar="HEALTHPROBE_LOG",
        show_default=f"{DEFAULT_DATABASE}; with --cluster its own",
        help=f"The durable log of transitions, created at first use: {LOG_URLS}. It may be the database of --records.",
    ),
]
Publish = Annotated[
    list[str] | None,
    typer.Option(
        "--publish",
        metavar="URL",
        envvar="HEALTHPROBE_PUBLISH",
        show_default="stdout:",
        help="Where transitions are delivered; may be repeated (in the variable: separated by spaces). "
        "[b]stdout:[/b] and [b]file:[/b]PATH get JSON lines, [b]redis:[/b]//HOST/0?stream=NAME&maxlen=N a stream "
        "entry, [b]https:[/b]//… a CloudEvent signed with $HEALTHPROBE_WEBHOOK_SECRET.",
    ),
]
Notify = Annotated[
    list[str] | None,
    typer.Option(
        "--notify",
        metavar="URL",
        envvar="HEALTHPROBE_NOTIFY",
        help="Where people get a sentence about each alert and its end; may be repeated. Any URL of apprise: "
        "[b]slack:[/b]//…, [b]mailto:[/b]//…, [b]ntfy:[/b]//….",
    ),
]
Alert = Annotated[
    list[str] | None,
    typer.Option(
        "--alert",
        metavar="URL",
        envvar="HEALTHPROBE_ALERT",
        help="An on-call system that gets each open incident as an alert, and resolves it; may be repeated.",
    ),
]
Interval = Annotated[
    Duration,
    typer.Option(
        "--interval",
        metavar="DURATION",
        envvar=["HEALTHPROBE_INTERVAL", "RTMANAGER_PROBE_INTERVAL"],
        parser=parse_duration,
        help="How often each engine is probed. Units: ms, s, m, h, as in 500ms or 1m30s.",
    ),
]
Timeout = Annotated[
    Duration,
    typer.Option(
        "--timeout",
        metavar="DURATION",
        envvar=["HEALTHPROBE_TIMEOUT", "RTMANAGER_PROBE_TIMEOUT"],
        parser=parse_duration,
        help="How long an engine has to answer; shorter than the interval.",
    ),
]
Failures = Annotated[
    int,
    typer.Option(
        "--failures",
        metavar="N",
        envvar=["HEALTHPROBE_FAILURES", "RTMANAGER_PROBE_FAILURES_THRESHOLD"],
        parser=parse_count,
        help="How many failures in a row make a probe_failed.",
    ),
]
Confirm = Annotated[
    Duration | None,
    typer.Option(
        "--confirm",
        metavar="DURATION",
        envvar="HEALTHPROBE_CONFIRM",
        parser=parse_duration,
        show_default="at the next ticks",
        help="After a first failure probe again at this spacing, as in 250ms, until the engine answers or has failed.",
    ),
]
Listening = Annotated[
    ListenAddress | None,
    typer.Option(
        "--listen",
        metavar="HOST:PORT|off",
        envvar="HEALTHPROBE_LISTEN",
        parser=parse_listen_address,
        show_default="off",
        help="Serve a page, an API, /metrics and /healthz at http://HOST:PORT/, or at the socket unix:PATH. An address "
        "other than loopback requires $HEALTHPROBE_TOKEN, which readers must send.",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="URL",
        envvar=CLUSTER,
        help="Share the fleet with the other instances that are started with the same URL: "
        "[b]nats:[/b]//USER:PASSWORD@HOST,HOST,HOST. Its JetStream holds the log, the leases and, without --records, "
        "the games.",
    ),
]

RecordsQuery = Annotated[
    str | None,
    typer.Option(
        "--records-query",
        metavar="SELECT",
        envvar="HEALTHPROBE_RECORDS_QUERY",
        help="Read the games from your own tables in the database of --records: a SELECT with the columns "
        "[b]game_id[/b], [b]current_container_id[/b], [b]engine_endpoint[/b] and optionally [b]status[/b].",
        rich_help_panel=ADVANCED,
    ),
]
Retain = Annotated[
    Duration | None,
    typer.Option(
        "--retain",
        metavar="DURATION|forever",
        envvar="HEALTHPROBE_RETAIN",
        parser=parse_retention,
        show_default="forever",
        help="How long the log keeps events, as in 90d. The last event of each game and events that a publisher has "
        "not received are always kept.",
        rich_help_panel=ADVANCED,
    ),
]
EndedEvents = Annotated[
    bool,
    typer.Option(
        "--ended-events",
        envvar="HEALTHPROBE_ENDED_EVENTS",
        help="Write a third type of event, probe_ended, if a game that is down is in none of three complete listings: "
        "consumers then see the end of every incident.",
        rich_help_panel=ADVANCED,
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="URI",
        envvar="HEALTHPROBE_SOURCE",
        parser=parse_source,
        show_default="/healthprobe/UUID, of the log",
        help="The source of CloudEvents and of entries in a Redis stream. With the id it names one event among those "
        "of all logs, so a copy of a log requires a source of its own.",
        rich_help_panel=ADVANCED,
    ),
]
Successes = Annotated[
    int,
    typer.Option(
        "--successes",
        metavar="N",
        envvar="HEALTHPROBE_SUCCESSES",
        parser=parse_count,
        help="How many successes in a row make a probe_recovered.",
        rich_help_panel=ADVANCED,
    ),
]
Grace = Annotated[
    Duration | None,
    typer.Option(
        "--grace",
        metavar="DURATION",
        envvar="HEALTHPROBE_GRACE",
        parser=parse_duration,
        show_default="none",
        help="Ignore failures for this long after a game appears or has a new container, until it first answers.",
        rich_help_panel=ADVANCED,
    ),
]
Flap = Annotated[
    FlapRule | None,
    typer.Option(
        "--flap",
        metavar="N/DURATION",
        envvar="HEALTHPROBE_FLAP",
        parser=parse_flap,
        show_default="off",
        help="Keep the incident of a game with N transitions in this time, as in 6/1h, open until the game has been "
        "steady for a quarter of it.",
        rich_help_panel=ADVANCED,
    ),
]
Hold = Annotated[
    float | None,
    typer.Option(
        "--hold",
        metavar="SHARE",
        envvar="HEALTHPROBE_HOLD",
        parser=parse_share,
        show_default="off",
        help="If more than this share of the healthy engines, as in 50%, and at least 5 fail within an interval, hold "
        "their transitions for another interval.",
        rich_help_panel=ADVANCED,
    ),
]
Canary = Annotated[
    list[str] | None,
    typer.Option(
        "--canary",
        metavar="URL",
        envvar="HEALTHPROBE_CANARY",
        help="A URL that always answers 200; may be repeated. While no canary answers, no failure counts.",
        rich_help_panel=ADVANCED,
    ),
]
AlertGroup = Annotated[
    str,
    typer.Option(
        "--alert-group",
        metavar="host|LABEL|none",
        envvar="HEALTHPROBE_ALERT_GROUP",
        parser=parse_alert_group,
        help="What games have in common that fail together: at least 3 and at least half of a host, or of the games "
        "with one value of a label, are one alert. [b]none[/b]: each game has its own.",
        rich_help_panel=ADVANCED,
    ),
]
AlertWait = Annotated[
    Duration,
    typer.Option(
        "--alert-wait",
        metavar="DURATION",
        envvar="HEALTHPROBE_ALERT_WAIT",
        parser=parse_wait,
        help="How long an alert waits for others of its group; [b]0[/b] for not at all.",
        rich_help_panel=ADVANCED,
    ),
]
PageUrl = Annotated[
    str | None,
    typer.Option(
        "--page-url",
        metavar="URL",
        envvar="HEALTHPROBE_PAGE_URL",
        parser=parse_page_url,
        show_default="as --listen says",
        help="Where people reach the page, such as https://ops.example/health: alerts link to it.",
        rich_help_panel=ADVANCED,
    ),
]
IdentityHeader = Annotated[
    str | None,
    typer.Option(
        "--identity-header",
        metavar="NAME",
        envvar="HEALTHPROBE_IDENTITY_HEADER",
        parser=parse_header_name,
        show_default="off",
        help="A response header with the game's id, as X-Game-ID. A response that names another game is a failure: "
        "its port was reused.",
        rich_help_panel=ADVANCED,
    ),
]
AllowNetwork = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-network",
        metavar="CIDR",
        envvar="HEALTHPROBE_ALLOW_NETWORK",
        show_default="all",
        help="Probe only addresses in these networks, as in 10.0.0.0/8; may be repeated.",
        rich_help_panel=ADVANCED,
    ),
]
DenyNetwork = Annotated[
    list[str] | None,
    typer.Option(
        "--deny-network",
        metavar="CIDR",
        envvar="HEALTHPROBE_DENY_NETWORK",
        show_default="none",
        help="Probe no address in these networks, as in 169.254.0.0/16; may be repeated.",
        rich_help_panel=ADVANCED,
    ),
]
MaxConcurrency = Annotated[
    int | None,
    typer.Option(
        "--max-concurrency",
        metavar="N|auto",
        envvar="HEALTHPROBE_MAX_CONCURRENCY",
        parser=parse_concurrency,
        show_default="auto",
        help="The most probes in flight. [b]auto[/b]: as many as a tick needs if every engine hangs.",
        rich_help_panel=ADVANCED,
    ),
]
Connections = Annotated[
    Literal["reuse", "fresh"],
    typer.Option(
        "--connections",
        envvar="HEALTHPROBE_CONNECTIONS",
        help="[b]reuse[/b] keeps one connection per engine; [b]fresh[/b] opens one per probe, at several times the "
        "cost.",
        rich_help_panel=ADVANCED,
    ),
]
KeepAliveMaxAge = Annotated[
    Duration,
    typer.Option(
        "--keep-alive-max-age",
        metavar="DURATION",
        envvar="HEALTHPROBE_KEEP_ALIVE_MAX_AGE",
        parser=parse_duration,
        help="The greatest age of a kept connection: what it hides, such as a closed listener, shows after that at the "
        "latest.",
        rich_help_panel=ADVANCED,
    ),
]
Lease = Annotated[
    Duration | None,
    typer.Option(
        "--lease",
        metavar="DURATION",
        envvar="HEALTHPROBE_LEASE",
        parser=parse_duration,
        show_default=str(DEFAULT_LEASE),
        help="How soon after an instance of the cluster dies the others take over its games.",
        rich_help_panel=ADVANCED,
    ),
]
Shard = Annotated[
    Slice | None,
    typer.Option(
        "--shard",
        metavar="N/COUNT",
        envvar="HEALTHPROBE_SHARD",
        parser=parse_shard,
        help="Probe a fixed slice of the fleet, as in 2/5, without a cluster. All instances have the same --records "
        "and --log, and each its own number. No other instance takes over the slice of one that dies.",
        rich_help_panel=ADVANCED,
    ),
]
OtlpUrl = Annotated[
    str | None,
    typer.Option(
        "--otlp",
        metavar="URL",
        envvar="HEALTHPROBE_OTLP",
        help="Send metrics and spans to an OpenTelemetry collector: http://HOST:4318.",
        rich_help_panel=ADVANCED,
    ),
]
MetricLabel = Annotated[
    str | None,
    typer.Option(
        "--metric-label",
        metavar="NAME",
        envvar="HEALTHPROBE_METRIC_LABEL",
        parser=parse_metric_label,
        help="Count the games in the metrics also by the values of this label, such as region; at most 100 values.",
        rich_help_panel=ADVANCED,
    ),
]
HeartbeatUrl = Annotated[
    str | None,
    typer.Option(
        "--heartbeat",
        metavar="URL",
        envvar="HEALTHPROBE_HEARTBEAT",
        help="A URL that is asked (GET) again and again while this run probes, sees, and its log takes events: of a "
        "service that raises an alarm when that stops.",
        rich_help_panel=ADVANCED,
    ),
]
HeartbeatEvery = Annotated[
    Duration,
    typer.Option(
        "--heartbeat-every",
        metavar="DURATION",
        envvar="HEALTHPROBE_HEARTBEAT_EVERY",
        parser=parse_duration,
        help="How often --heartbeat is asked.",
        rich_help_panel=ADVANCED,
    ),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"] | None,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        envvar="HEALTHPROBE_LOG_LEVEL",
        show_default="info; warning if transitions are shown in a terminal",
        help="Log messages from this level on to standard error: debug, info, warning or error.",
        rich_help_panel=ADVANCED,
    ),
]


def _json(panel: str | None = None) -> Any:
    return typer.Option(
        "--json",
        envvar="HEALTHPROBE_JSON",
        help="Write JSON lines in a terminal too; a pipe or a file always gets them.",
        rich_help_panel=panel,
    )


Json = Annotated[bool, _json()]
AdvancedJson = Annotated[bool, _json(ADVANCED)]

EditableRecords = Annotated[
    str,
    typer.Option(
        "--records",
        metavar="URL",
        envvar=["HEALTHPROBE_RECORDS", CLUSTER],
        help="The store: [b]sqlite:[/b]PATH, [b]postgresql:[/b]//… or [b]nats:[/b]//HOST/BUCKET.",
    ),
]
ListedRecords = Annotated[
    str,
    typer.Option(
        "--records",
        metavar="URL",
        envvar=["HEALTHPROBE_RECORDS", CLUSTER],
        help="Where the running games are listed, as for run.",
    ),
]
ReadLog = Annotated[
    str,
    typer.Option("--log", metavar="URL", envvar=["HEALTHPROBE_LOG", CLUSTER], help=f"The log to read: {LOG_URLS}."),
]
Label = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="NAME=VALUE",
        envvar="HEALTHPROBE_LABEL",
        parser=parse_label,
        show_default="all",
        help="Only games with this label, as in team=eu; may be repeated. NAME= for games without it.",
    ),
]
