"""The demo's output: 80 columns, readable on dark and on light."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.text import Text

from healthprobe.app import terminal
from healthprobe.cli.cluster import cluster_table
from healthprobe.domain.cluster import Instance
from healthprobe.domain.event import HealthEvent


class Output:
    """Writes to standard output."""

    def __init__(self) -> None:
        self._console = terminal.console_for()

    def announce(self, sentence: str) -> None:
        """Prints what is about to happen."""
        self._console.print()
        self._console.print(Text(sentence, "bold"))

    def say(self, sentence: str) -> None:
        """Prints what happened."""
        self._console.print(Text(sentence))

    def aside(self, line: str) -> None:
        """Prints a line that may be skipped."""
        self._console.print(Text(line, terminal.ASIDE))

    def transition(self, event: HealthEvent) -> None:
        """Prints a transition as `healthprobe run` does."""
        terminal.print_line(self._console, terminal.transition_text(event))

    def show(self, found: Sequence[Instance]) -> None:
        """Prints what `healthprobe cluster` prints."""
        self.aside("$ healthprobe cluster")
        self._console.print(cluster_table(found, datetime.now(UTC), self._console.width))
