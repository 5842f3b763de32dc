"""The options by which a fleet that is larger than one machine is shared."""

from __future__ import annotations

from typing import Annotated

import typer

from healthprobe.domain.shard import Slice
from healthprobe.surfaces.cli import options
from healthprobe.surfaces.durations import Duration, parse_duration
from healthprobe.surfaces.settings import DEFAULT_LEASE

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
        envvar=options.CLUSTER,
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
