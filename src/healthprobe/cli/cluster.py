"""`healthprobe cluster`: the instances that share a fleet, and whether every shard has an owner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
import uvloop
from rich.table import Table
from rich.text import Text

from healthprobe._util.duration import two_units
from healthprobe._util.text import printable
from healthprobe.app import terminal
from healthprobe.app.urls import Adapters, extra
from healthprobe.cli import errors, options
from healthprobe.domain.cluster import Instance, unwatched_shards
from healthprobe.web.cluster import instance_document

_WIDE = 72
_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "instance": {**terminal.FOLDS, "style": "bold"},
    "up": {"justify": "right"},
    "shards": {"justify": "right"},
    "games": {"justify": "right"},
    "renewed": {"justify": "right"},
    "relay": {},
    "last takeover": terminal.GIVES_WAY,
}
_FIRST_TO_GO = ("up", "renewed", "last takeover")


async def _instances(url: str) -> tuple[list[Instance], int]:
    """Returns the instances and the number of shards."""
    with extra("nats", "--cluster"):
        from healthprobe.adapters.nats import instances, log_shards
    async with Adapters(existing=True) as adapters:
        stream = await adapters.jetstream(url)
        return await instances(stream), await log_shards(stream)


def differing_options(found: Sequence[Instance]) -> list[str]:
    """Returns a line for each instance that was started with other options than most instances.

    Instances of an older version report no options.
    """
    reporting = [each for each in found if each.rule]
    [(most, _)] = Counter(each.rule for each in reporting).most_common(1) or [("", 0)]
    return [
        f"{each.instance} was started with {_beyond(each.rule, most)}; others have {_beyond(most, each.rule)}: "
        "give all of them the same"
        for each in reporting
        if each.rule != most
    ]


def _beyond(rule: str, other: str) -> str:
    """Returns the options of `rule` that are not in `other`."""
    theirs = _options(other)
    return " ".join(f"--{option}" for option in _options(rule) if option not in theirs) or "none of these"


def _options(rule: str) -> list[str]:
    return rule.removeprefix("--").split(" --")


def cluster_table(found: Sequence[Instance], now: datetime, width: int = _WIDE) -> Table:
    """Returns the table of instances. A narrow window has fewer columns."""
    shown = [column for column in _COLUMNS if width >= _WIDE or column not in _FIRST_TO_GO]
    made = terminal.table({column: _COLUMNS[column] for column in shown})
    for each in found:
        cells: dict[str, str | Text] = {
            "instance": _name(each),
            "up": two_units((now - each.started_at).total_seconds(), decimals=1),
            "shards": f"{len(each.shards)}",
            "games": f"{each.games:,}",
            "renewed": "" if each.oldest_renewal is None else f"{each.oldest_renewal:.1f}s",
            "relay": "yes" if each.duties else "",
            "last takeover": terminal.cut_to_fit(_last_takeover(each, now)),
        }
        made.add_row(*(cells[column] for column in shown))
    return made


def _name(instance: Instance) -> Text:
    name = Text(printable(instance.instance))
    return name.append(" is blind", style=terminal.FAILED) if instance.blind else name


def _last_takeover(instance: Instance, now: datetime) -> str:
    takeover = instance.takeover
    if takeover is None:
        return ""
    return f"{takeover.shards} {takeover.cause} {two_units((now - takeover.at).total_seconds(), decimals=1)} ago"


Cluster = Annotated[
    str,
    typer.Option(
        "--cluster",
        metavar="URL",
        envvar=options.CLUSTER,
        help="The cluster: [b]nats:[/b]//USER:PASSWORD@HOST,HOST,HOST.",
    ),
]


def cluster(cluster: Cluster, as_json: options.Json = False) -> None:
    """Show the instances that share a fleet; exit 1 if a shard has no owner.

    Warns of an instance that was started with other options than most: it may
    watch other games and decide by other rules.

    With --json, or if standard output is not a terminal: one object per line,
    with instance, host, pid, started_at, shards, games, duties, blind,
    oldest_renewal_s, newest_renewal_s and last_takeover. A run that listens
    answers the same at /api/cluster.

    Example: [b]healthprobe cluster --cluster nats://n1,n2,n3[/b]
    """
    found, shards = uvloop.run(_instances(cluster))
    unwatched = unwatched_shards(found, shards)
    if not terminal.people_watch(json_wanted=as_json):
        for each in found:
            terminal.write_json(msgspec.to_builtins(instance_document(each)))
    elif found:
        console = terminal.console_for()
        console.print(cluster_table(found, datetime.now(UTC), console.width))
    for line in differing_options(found):
        terminal.report(line)
    if unwatched:
        why = "no instance is running" if not found else "the next renewals may change that"
        terminal.report(f"{unwatched} of {shards} shards have no owner; {why}")
        raise typer.Exit(errors.BAD)
