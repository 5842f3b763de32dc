"""The unfenced: `healthprobe` with a log that takes whatever comes, whoever has written meanwhile.

    python -P unfenced.py PROGRAM ARGUMENT…

PROGRAM is the file of another module that runs it.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence

from healthprobe.adapters import nats
from healthprobe.adapters.nats import JetStreamLog
from healthprobe.adapters.nats.appending import encode_event
from healthprobe.adapters.nats.connection import Request, Unanswered
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import LogError


class UnfencedLog(JetStreamLog):
    """Writes what follows a game's last event, as all logs do, but not on the condition that this is so still."""

    async def append(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent | None]:
        last = await self.last_events(event.game_id for event in events)
        following = {event for event in events if event.sequence == _sequence_of(last.get(event.game_id)) + 1}
        try:
            await self._stream.ask(
                [Request(self._streams.of_game(each.game_id), encode_event(each)) for each in following]
            )
        except Unanswered as error:
            raise LogError(str(error)) from error
        return [event if event in following else last.get(event.game_id) for event in events]


def _sequence_of(event: HealthEvent | None) -> int:
    return 0 if event is None else event.sequence


def command(fenced: Sequence[str]) -> tuple[str, ...]:
    """How the program is run without its fence that `fenced` runs: python, -P, a file and its arguments."""
    python, dash_p, *program = fenced
    return (python, dash_p, __file__, *program)


if __name__ == "__main__":
    nats.JetStreamLog = UnfencedLog  # type: ignore[misc]  # where app.urls takes its log from
    runpy.run_path(sys.argv.pop(1), run_name="__main__")
