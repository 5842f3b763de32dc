"""Virtual time for single tests that wait long."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from healthprobe.testing.clock import VirtualTimeLoop

Result = TypeVar("Result")


def in_virtual_time(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs `work` on a loop with virtual time and returns its result."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)
