"""The options by which a verdict can be trusted: each switches one doubt on, and none is on by itself."""

from __future__ import annotations

from typing import Annotated

import typer

from healthprobe.domain.policy import FlapRule
from healthprobe.surfaces.durations import Duration, parse_duration
from healthprobe.surfaces.rules import parse_count, parse_flap, parse_header_name, parse_share

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
