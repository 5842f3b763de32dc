"""Options that commands share: their names, environment variables and help."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from healthprobe._util.duration import Duration, parse_duration, parse_retention
from healthprobe.app.settings import (
    DEFAULT_DATABASE,
    DEFAULT_LEASE,
    parse_count,
    parse_flap,
    parse_header_name,
    parse_share,
)
from healthprobe.domain.policy import FlapRule
from healthprobe.domain.shard import Slice
from healthprobe.web.listen_address import ListenAddress, parse_listen_address

PROBING = "What is probed, and where transitions go"
VERDICT = "When an engine has failed"
COST = "What a probe may cost"
SEEING = "Seeing it"
OUTPUT = "Output"

CLUSTER = "HEALTHPROBE_CLUSTER"
"""The variable that names log and records of a cluster where no other does: who has it set means those of `run`."""

STORE_URLS = (
    "[b]sqlite:[/b]PATH, the embedded store; [b]postgresql:[/b]//…; [b]file:[/b]PATH, JSON or YAML read again when it "
    "changes; [b]https:[/b]//…, Prometheus' http_sd; [b]nats:[/b]//HOST,HOST/BUCKET, a key-value bucket, watched."
)
LOG_URLS = "[b]sqlite:[/b]PATH, [b]postgresql:[/b]//USER:PASSWORD@HOST/DATABASE or [b]nats:[/b]//HOST,HOST"


def parse_concurrency(text: str) -> int | None:
    """The number of probes that may be in flight, or None for `auto`. Raises ValueError."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is neither auto nor a number above zero: write auto, or a number such as 64")
    return int(text)


def parse_failures(text: str | int) -> int:
    """A threshold. Raises ValueError."""
    if isinstance(text, str) and not text.isdecimal():
        raise ValueError(f"{text!r} is not a whole number: write one such as 3")
    if int(text) < 1:
        raise ValueError(f"{text!r} is below 1: write after how many failures in a row an engine has failed, such as 3")
    return int(text)


Records = Annotated[
    str | None,
    typer.Option(
        "--records",
        metavar="URL",
        envvar="HEALTHPROBE_RECORDS",
        show_default=f"{DEFAULT_DATABASE}; with --cluster its bucket",
        help="Where the running games are listed: " + STORE_URLS,
        rich_help_panel=PROBING,
    ),
]
RecordsQuery = Annotated[
    str | None,
    typer.Option(
        "--records-query",
        metavar="SELECT",
        envvar="HEALTHPROBE_RECORDS_QUERY",
        help="Read the games out of your own tables in the database that --records names: a SELECT with the columns "
        "[b]game_id[/b], [b]current_container_id[/b], [b]engine_endpoint[/b] and, if you like, [b]status[/b].",
        rich_help_panel=PROBING,
    ),
]
EditableRecords = Annotated[
    str,
    typer.Option(
        "--records",
        metavar="URL",
        envvar=["HEALTHPROBE_RECORDS", CLUSTER],
        help="The store: [b]sqlite:[/b]PATH, the embedded one, [b]postgresql:[/b]//… or [b]nats:[/b]//HOST/BUCKET.",
    ),
]
Log = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="URL",
        envvar="HEALTHPROBE_LOG",
        show_default=f"{DEFAULT_DATABASE}; with --cluster its own",
        help=f"The durable log of transitions: {LOG_URLS}, made at first use; the records' own database will do.",
        rich_help_panel=PROBING,
    ),
]
ReadLog = Annotated[
    str,
    typer.Option("--log", metavar="URL", envvar=["HEALTHPROBE_LOG", CLUSTER], help=f"The log to read: {LOG_URLS}."),
]
Publish = Annotated[
    list[str] | None,
    typer.Option(
        "--publish",
        metavar="URL",
        envvar="HEALTHPROBE_PUBLISH",
        show_default="stdout:",
        help="Where transitions are delivered; may be given several times (in the variable: spaces between). "
        "[b]stdout:[/b] and [b]file:[/b]PATH take a line an event, [b]redis:[/b]//HOST/0?stream=NAME&maxlen=N a stream "
        "entry, [b]https:[/b]//… a CloudEvent, signed with $HEALTHPROBE_WEBHOOK_SECRET.",
        rich_help_panel=PROBING,
    ),
]
Notify = Annotated[
    list[str] | None,
    typer.Option(
        "--notify",
        metavar="URL",
        envvar="HEALTHPROBE_NOTIFY",
        help="Whom to tell in a readable sentence, from now on; may be given several times. Any URL of apprise's: "
        "[b]slack:[/b]//…, [b]mailto:[/b]//…, [b]pagerduty:[/b]//….",
        rich_help_panel=PROBING,
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
        help="How long the log keeps events, as in 90d. A game's last one stays, and so does what a publisher still "
        "waits for.",
        rich_help_panel=PROBING,
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
        rich_help_panel=VERDICT,
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
        rich_help_panel=VERDICT,
    ),
]
Failures = Annotated[
    int,
    typer.Option(
        "--failures",
        metavar="N",
        envvar=["HEALTHPROBE_FAILURES", "RTMANAGER_PROBE_FAILURES_THRESHOLD"],
        parser=parse_failures,
        help="How many failures in a row make a probe_failed.",
        rich_help_panel=VERDICT,
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
        help="Probes in flight at most. [b]auto[/b]: as many as a tick needs when every engine hangs.",
        rich_help_panel=COST,
    ),
]
Connections = Annotated[
    Literal["reuse", "fresh"],
    typer.Option(
        "--connections",
        envvar="HEALTHPROBE_CONNECTIONS",
        help="[b]reuse[/b] keeps one connection an engine; [b]fresh[/b] opens one a probe, at several times the cost.",
        rich_help_panel=COST,
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
        help="Show this run at http://HOST:PORT/: a page, /metrics, /healthz, an API. Beyond this machine only with "
        "HEALTHPROBE_TOKEN, which readers must know.",
        rich_help_panel=SEEING,
    ),
]
OtlpUrl = Annotated[
    str | None,
    typer.Option(
        "--otlp",
        metavar="URL",
        envvar="HEALTHPROBE_OTLP",
        help="Send metrics and spans to an OpenTelemetry collector: http://HOST:4318.",
        rich_help_panel=SEEING,
    ),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"] | None,
    typer.Option(
        "--log-level",
        envvar="HEALTHPROBE_LOG_LEVEL",
        show_default="info; warning where transitions show in a terminal",
        help="What is logged to standard error.",
        rich_help_panel=OUTPUT,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        envvar="HEALTHPROBE_JSON",
        help="JSON lines, also in a terminal; it is what a pipe or a file always gets.",
        rich_help_panel=OUTPUT,
    ),
]


SHARING = "More than one machine"


def parse_shard(text: str | Slice) -> Slice:
    """A part of the fleet, as `2/5`. Raises ValueError."""
    if isinstance(text, Slice):
        return text
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal()):
        raise ValueError(f"{text!r} is no part of a fleet: write one such as 2/5")
    return Slice(int(number), int(count))


Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="URL",
        envvar=CLUSTER,
        help="Share the fleet with other instances, each started with the same URL: [b]nats:[/b]//USER:PASSWORD@HOST,"
        "HOST,HOST. Its JetStream has the log, the leases and, unless --records says otherwise, the games.",
        rich_help_panel=SHARING,
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
        help="How long after an instance of a cluster has died the others take its games over.",
        rich_help_panel=SHARING,
    ),
]
Shard = Annotated[
    Slice | None,
    typer.Option(
        "--shard",
        metavar="N/COUNT",
        envvar="HEALTHPROBE_SHARD",
        parser=parse_shard,
        help="Probe a fixed part of the fleet, as in 2/5, without a cluster: every instance with the same --records "
        "and --log, each with another number. Nobody takes the part of one that has died.",
        rich_help_panel=SHARING,
    ),
]


TRUST = "When a verdict can be trusted"

Successes = Annotated[
    int,
    typer.Option(
        "--successes",
        metavar="N",
        envvar="HEALTHPROBE_SUCCESSES",
        parser=parse_count,
        help="How many successes in a row make a probe_recovered.",
        rich_help_panel=TRUST,
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
        help="Ask an engine that was up and failed again at this spacing, as in 250ms, until it answers or has failed.",
        rich_help_panel=TRUST,
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
        help="For so long after a game has appeared, or has a new container, its failures do not count, unless it has "
        "answered before.",
        rich_help_panel=TRUST,
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
        help="A game with N transitions in that time, as in 6/1h, stays in its incident until it has been steady for a "
        "quarter of it.",
        rich_help_panel=TRUST,
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
        help="Where more than this share of the healthy engines, as in 50%, and at least 5, fail within an interval: "
        "tell nobody before they have failed for another.",
        rich_help_panel=TRUST,
    ),
]
Canary = Annotated[
    list[str] | None,
    typer.Option(
        "--canary",
        metavar="URL",
        envvar="HEALTHPROBE_CANARY",
        help="Something that always answers 200, asked at exactly this URL; may be given several times. While none of "
        "them answers this prober is blind, and no failure counts.",
        rich_help_panel=TRUST,
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
        help="Where a response has this header, as X-Game-ID, and it names another game, the probe failed: ports are "
        "used again.",
        rich_help_panel=TRUST,
    ),
]
AllowNetwork = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-network",
        metavar="CIDR",
        envvar="HEALTHPROBE_ALLOW_NETWORK",
        show_default="all",
        help="Probe no address outside these networks, as in 10.0.0.0/8; may be given several times.",
        rich_help_panel=TRUST,
    ),
]
DenyNetwork = Annotated[
    list[str] | None,
    typer.Option(
        "--deny-network",
        metavar="CIDR",
        envvar="HEALTHPROBE_DENY_NETWORK",
        show_default="none",
        help="Probe no address in these networks, as in 169.254.0.0/16, whatever a record or a name says.",
        rich_help_panel=TRUST,
    ),
]
