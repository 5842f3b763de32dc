"""The voice: what the audience reads, in 80 columns, on dark and on light."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.text import Text

from healthprobe.app import terminal
from healthprobe.cli.cluster import cluster_table
from healthprobe.domain.cluster import Instance
from healthprobe.domain.event import HealthEvent


class SafeLogger:
    """Speaks on standard output."""

    def __init__(self) -> None:
        self._console = terminal.console_for()

    def announce(self, sentence: str) -> None:
        """What is about to happen."""
        self._console.print()
        self._console.print(Text(sentence, "bold"))

    def say(self, sentence: str) -> None:
        """What has come of it."""
        self._console.print(Text(sentence))

    def whisper(self, line: str) -> None:
        """What may be skipped."""
        self._console.print(Text(line, terminal.ASIDE))

    def tell(self, event: HealthEvent) -> None:
        """A transition, as `healthprobe run` shows it."""
        terminal.print_line(self._console, terminal.transition_text(event))

    def show(self, found: Sequence[Instance]) -> None:
        """What `healthprobe cluster` shows."""
        self.whisper("$ healthprobe cluster")
        self._console.print(cluster_table(found, datetime.now(UTC), self._console.width))
