"""`healthprobe cluster`: who shares the fleet, and whether all of it is watched."""

from __future__ import annotations

from typing import Annotated

import typer

from healthprobe.surfaces.cli import errors, options

Cluster = Annotated[
    str,
    typer.Option(
        "--cluster",
        metavar="URL",
        envvar=options.CLUSTER,
        help="The cluster to look at: [b]nats:[/b]//USER:PASSWORD@HOST,HOST,HOST.",
    ),
]


def cluster(cluster: Cluster, as_json: options.Json = False) -> None:
    """Show the instances that share a fleet; exit 1 if a shard is watched by nobody.

    An instance that was started with other options than most is told of: it
    may know other games, and judge and tell otherwise.

    With --json, or where standard output is not a terminal: one object a line,
    with instance, host, pid, started_at, shards, games, duties, blind,
    oldest_renewal_s, newest_renewal_s and last_takeover. A run that listens
    answers the same at /api/cluster.

    Example: [b]healthprobe cluster --cluster nats://n1,n2,n3[/b]
    """
    from healthprobe.surfaces.cluster import show_cluster

    if not show_cluster(cluster, as_json=as_json):
        raise typer.Exit(errors.BAD)
