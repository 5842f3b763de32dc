"""The pace: how many events a publisher is handed at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_FIRST = 16
_SHORT, _LONG = 0.1, 1.0
"""A delivery that took less, in seconds, is followed by one twice as large, and one that took more by half as large."""


class Pace:
    """So many that a delivery takes a second at the most, between one and `most`.

    A bus takes hundreds in milliseconds; a webhook may take a tenth of a second for each. What a delivery that is torn
    had got through comes again, and a publisher that is slow is none that does not answer: both want small ones.
    `monotonic` tells seconds.
    """

    def __init__(self, most: int, monotonic: Callable[[], float]) -> None:
        self._most = most
        self._monotonic = monotonic
        self.size = min(_FIRST, most)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Learn from the delivery that is made inside; one that fails at once tells nothing."""
        began = self._monotonic()
        succeeded = False
        try:
            yield
            succeeded = True
        finally:
            took = self._monotonic() - began
            if took > _LONG:
                self.size = max(self.size // 2, 1)
            elif succeeded and took < _SHORT:
                self.size = min(self.size * 2, self._most)
