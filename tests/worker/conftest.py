"""What the relay's tests begin with."""

from __future__ import annotations

import pytest

from healthprobe.testing.contracts.samples import history
from healthprobe.testing.memory import MemoryLog, MemoryPublisher


@pytest.fixture
def log() -> MemoryLog:
    """A log with four events of one game."""
    return MemoryLog(*history("a", 4))


@pytest.fixture
def publisher() -> MemoryPublisher:
    return MemoryPublisher()
