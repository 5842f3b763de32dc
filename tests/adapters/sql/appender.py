"""A program that appends to a log until it is killed. Run by the crash tests; each line "go" begins one more of it.

The lines it writes: `N begins` as it begins, then `N GAME:SEQUENCE` for each event that the log has acknowledged to it.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping

from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import LogError
from healthprobe.testing.contracts.samples import failed, recovered

GAMES = [f"game-{number}" for number in range(4)]


def following(game_id: str, last: HealthEvent | None) -> HealthEvent:
    sequence = last.sequence + 1 if last else 1
    return (failed if sequence % 2 else recovered)(game_id, sequence, container_id=str(os.getpid()))


def write_lines(*lines: str) -> None:
    os.write(1, "".join(f"{line}\n" for line in lines).encode())


async def append_for_ever(path: str) -> None:
    log = SqlLog(await SqlDatabase.open(f"sqlite:{path}"))
    last: Mapping[str, HealthEvent | None] = await log.last_events(GAMES)
    while True:
        batch = [following(game_id, last.get(game_id)) for game_id in GAMES]
        try:
            standing = await log.append(batch)
        except LogError:  # the other process had the write lock all the time
            continue
        write_lines(
            *(f"{os.getpid()} {ours.id}" for ours, stands in zip(batch, standing, strict=True) if ours == stands)
        )
        last = dict(zip(GAMES, standing, strict=True))


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in sys.stdin:
        if os.fork() == 0:  # a fork has everything imported, which would take most of the time
            write_lines(f"{os.getpid()} begins")
            asyncio.run(append_for_ever(sys.argv[1]))


if __name__ == "__main__":
    main()
