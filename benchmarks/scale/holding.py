"""The cost of holding things: a game in memory, on the list or watched as well, and the lease of a shard."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import say
from benchmarks.processes import resident_memory
from benchmarks.scale.instance import Instance, cores, instance, until
from benchmarks.scale.sightings import Sightings
from benchmarks.scale.spent import servers
from healthprobe.domain.shard import SHARDS

GAMES = 200_000
LEASE = 5.0

_INTERVAL = 10
_SECONDS = 10.0
_PATIENCE = 60.0
_ONE_SHARD = f"1/{SHARDS}"


@dataclass(frozen=True, slots=True)
class GameCosts:
    """Bytes of a process's memory: of an instance without games, for each game listed, for each watched in addition.

    `watched` is without the connection to its engine. `probed` is seconds of CPU a probe that costs nothing itself.
    """

    empty: float
    listed: float
    watched: float
    probed: float


@dataclass(frozen=True, slots=True)
class LeaseCosts:
    """`cores` is the share of a core that an instance with so many `leases` uses for them, `servers` the server's."""

    instances: int
    leases: int
    cores: float
    servers: float


def games_measured() -> GameCosts:
    """Watch all of a made-up list, one shard of it, and nothing."""
    say(f"games: {GAMES:,} of them, watched and only listed ...")
    empty, _ = _watched(0, "1/1")
    listed, _ = _watched(GAMES, _ONE_SHARD)
    watched, busy = _watched(GAMES, "1/1")
    per_listed = (listed - empty) / GAMES
    probes_a_second = GAMES / _INTERVAL
    return GameCosts(empty, per_listed, (watched - listed) / (GAMES - GAMES / SHARDS), busy / probes_a_second)


def leases_measured() -> list[LeaseCosts]:
    """Hold all shards alone, and share them among three."""
    return [_leased(1), _leased(3)]


def _watched(games: int, shard: str) -> tuple[float, float]:
    """The memory of an instance that has probed its part of so many games, and the share of a core that it uses."""
    with TemporaryDirectory(prefix="healthprobe-bench-") as folder:
        workspace = Path(folder)
        Sightings.made(workspace / "sightings", games)
        arguments = [f"--records=imaginary:{games}", f"--log=sqlite:{workspace / 'log.db'}", f"--shard={shard}"]
        arguments += [f"--interval={_INTERVAL}s", f"--publish=file:{workspace / 'delivered.jsonl'}"]
        with instance(0, workspace / "sightings", workspace, *arguments) as probing:
            probing.child.wait_until(lambda: "worker started" in probing.child.output, _PATIENCE)
            began = time.monotonic()
            until(lambda: time.monotonic() > began + 2 * _INTERVAL, "two ticks", within=_PATIENCE)
            return resident_memory(probing.child.pid), probing.cores(_INTERVAL)


def _leased(instances: int) -> LeaseCosts:
    say(f"leases: {SHARDS} of {LEASE:g}s, held by {instances} ...")
    with TemporaryDirectory(prefix="healthprobe-bench-") as folder, servers(1, sync="2m") as kept, ExitStack() as stack:
        workspace = Path(folder)
        Sightings.made(workspace / "sightings", 0)
        arguments = [
            f"--cluster={kept.url}",
            "--records=imaginary:0",
            f"--lease={LEASE:g}s",
            f"--publish=file:{workspace / 'delivered.jsonl'}",
        ]
        those = [
            stack.enter_context(instance(number, workspace / "sightings", workspace, *arguments))
            for number in range(instances)
        ]
        _let_them_settle(those)
        before, began = kept.cpu, time.monotonic()
        used = cores(those, _SECONDS)
        served = (kept.cpu - before) / (time.monotonic() - began)
        return LeaseCosts(instances, SHARDS // instances, sum(used) / instances, served)


def _let_them_settle(those: Sequence[Instance]) -> None:
    for each in those:
        each.child.wait_until(lambda each=each: "shards taken over" in each.child.output, _PATIENCE)  # type: ignore[misc]
    time.sleep(2 * LEASE)
