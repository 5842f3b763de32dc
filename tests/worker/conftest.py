"""What the relay's tests begin with."""

from __future__ import annotations

import pytest

from healthprobe.testing.contracts.samples import history
from healthprobe.testing.memory import InMemoryLog, InMemoryPublisher


@pytest.fixture
def log() -> InMemoryLog:
    """A log with four events of one game."""
    return InMemoryLog(*history("a", 4))


@pytest.fixture
def publisher() -> InMemoryPublisher:
    return InMemoryPublisher()
