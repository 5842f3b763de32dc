"""The stepped clock: `healthprobe` with a wall clock that is ahead of the machine's by what a file says.

    python -P stepped_clock.py OFFSET run --records …

The clock of the machine is not ours to step. OFFSET names a file with a number of seconds, read at every look.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from healthprobe.cli.main import main
from healthprobe.worker.config import utc_now
from healthprobe.worker.worker import Worker


class SteppedClock:
    """Steps the wall clock of programs that are run by `command`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.command = (sys.executable, "-P", __file__, str(file))
        self.step(0.0)

    def step(self, offset: float) -> None:
        """Be `offset` seconds ahead from now on."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(str(offset))
        draft.rename(self._file)


def install(offset: Path) -> None:
    """From now on workers of this process that are given no clock tell the time with the offset in this file.

    Raises LookupError where a worker's clock is not what this file takes it for.
    """
    defaults = Worker.__init__.__kwdefaults__
    if defaults is None or defaults.get("clock") is not utc_now:
        raise LookupError("a worker's clock is not what it was: nothing would be stepped")

    def stepped_now() -> datetime:
        return utc_now() + timedelta(seconds=float(offset.read_text()))

    defaults["clock"] = stepped_now


if __name__ == "__main__":
    install(Path(sys.argv.pop(1)))
    main()
