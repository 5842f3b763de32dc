"""Waiting for what must happen: until it does, and never by a fixed sleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

PATIENCE = 60.0
"""How long to wait for what must happen, in seconds. Only a hang exceeds it, never a busy machine."""


async def until(condition: Callable[[], object], what: str) -> None:
    """Waits until `condition` is true. Fails the test with `what` when it never is."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {PATIENCE:g}s: {what}")
        await asyncio.sleep(0.005)


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Does the same in a test that is not a coroutine."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {PATIENCE:g}s: {what}")
        time.sleep(0.01)
