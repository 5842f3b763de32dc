"""`healthprobe` with a log that appends without fencing tokens.

    python -P unfenced.py PROGRAM ARGUMENT…

PROGRAM is the file of a module that runs healthprobe.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence

from healthprobe.adapters import nats
from healthprobe.adapters.nats import JetStreamLog
from healthprobe.adapters.nats.connection import Request, Unanswered
from healthprobe.adapters.nats.stored_events import encode_event
from healthprobe.adapters.nats.streams import EXPECTED
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import LogError

_HEADERS = {f"{EXPECTED}-": "0"}
"""They look like those of a log that has conditions, whose messages are taken for events."""


class UnfencedLog(JetStreamLog):
    """Appends what follows a game's last event, without the condition that it is still the last."""

    async def append(self, events: Sequence[HealthEvent]) -> Sequence[HealthEvent | None]:
        last = await self.last_events(event.game_id for event in events)
        following = {event for event in events if event.sequence == _sequence_of(last.get(event.game_id)) + 1}
        try:
            await self._stream.ask(
                [Request(self._streams.of_game(each.game_id), encode_event(each), _HEADERS) for each in following]
            )
        except Unanswered as error:
            raise LogError(str(error)) from error
        return [event if event in following else last.get(event.game_id) for event in events]


def _sequence_of(event: HealthEvent | None) -> int:
    return 0 if event is None else event.sequence


def command(fenced: Sequence[str]) -> tuple[str, ...]:
    """Returns the command `fenced` (python, -P, a file and its arguments) without fencing."""
    python, dash_p, *program = fenced
    return (python, dash_p, __file__, *program)


if __name__ == "__main__":
    nats.JetStreamLog = UnfencedLog  # type: ignore[misc]  # app.urls imports it from there
    runpy.run_path(sys.argv.pop(1), run_name="__main__")
