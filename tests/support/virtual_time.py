"""Virtual time, for tests of what waits long: the room's own loop is a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from healthprobe.testing.clock import VirtualTimeLoop

Result = TypeVar("Result")


def in_virtual_time(work: Coroutine[Any, Any, Result]) -> Result:
    """What `work` returns, on a loop of its own that never sleeps."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)
