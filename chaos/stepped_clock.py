"""The stepped clock: `healthprobe` with a wall clock that is ahead of the machine's by what a file says.

    python -P stepped_clock.py OFFSET run --records …

The clock of the machine is left alone. OFFSET names a file with a number of seconds, read each time the clock is read.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from healthprobe.cli.main import main
from healthprobe.worker.config import utc_now
from healthprobe.worker.worker import Worker


class SteppedClock:
    """Steps the wall clock of programs that `command` runs."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.command = (sys.executable, "-P", __file__, str(file))
        self.step(0.0)

    def step(self, offset: float) -> None:
        """Sets the clock `offset` seconds ahead of the machine's."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(str(offset))
        draft.rename(self._file)


def install(offset: Path) -> None:
    """Gives workers of this process without a clock of their own one with the offset in this file.

    Raises LookupError if the worker's default clock is not `utc_now`.
    """
    defaults = Worker.__init__.__kwdefaults__
    if defaults is None or defaults.get("clock") is not utc_now:
        raise LookupError("the worker's default clock is not utc_now: nothing would be stepped")

    def stepped_now() -> datetime:
        return utc_now() + timedelta(seconds=float(offset.read_text()))

    defaults["clock"] = stepped_now


if __name__ == "__main__":
    install(Path(sys.argv.pop(1)))
    main()
