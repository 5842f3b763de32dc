"""Whom to ask: a run, or a log where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from healthprobe.surfaces.client.asking import Instance, NobodyListens, instance_at

Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class Whom:
    """The run `at` a URL, or where runs listen; the `log` and no run; or `instead` a log where nobody listens."""

    at: str | None
    log: str | None = None
    instead: str | None = None

    def ask(self, of_run: Callable[[Instance], Told], of_log: Callable[[str], Told]) -> Told:
        """What `of_run` gives of the run, or `of_log` of the URL of the log. Raises what they raise."""
        if self.log is not None:
            return of_log(self.log)
        try:
            return of_run(instance_at(self.at))
        except NobodyListens:
            if self.instead is None:
                raise
        return of_log(self.instead)
