"""Telling people the same thing once a minute, not once a probe."""

from __future__ import annotations

from collections.abc import Callable

from healthprobe.worker.bystanders import Voice

_PERIOD = 60.0


class OnceAMinute:
    """A warning that comes at once the first time, and then at most once a minute with how often it came since."""

    def __init__(self, logger: Voice, message: str, monotonic: Callable[[], float]) -> None:
        self._logger = logger
        self._message = message
        self._monotonic = monotonic
        self._times = 0
        self._silent_until = float("-inf")

    def tell(self, cause: str) -> None:
        """Count it, and say so if a minute has passed."""
        self._times += 1
        now = self._monotonic()
        if now < self._silent_until:
            return
        times, self._times = self._times, 0
        self._silent_until = now + _PERIOD
        self._logger.warning(self._message, err=cause, times=times)
