"""What a run writes to its terminal or, without one, to its log and standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from healthprobe._util.text import counted
from healthprobe.app import terminal
from healthprobe.app.settings import DEFAULT_LEASE, Settings
from healthprobe.app.url_names import notification_name, publisher_name, shown
from healthprobe.app.urls import EventFormat
from healthprobe.status.counters import Counters
from healthprobe.telemetry.logs import LogLevel, configure_logs

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


class RunConsole(Protocol):
    """The output of a run. `event_format` is that of the publisher stdout:, None is JSON."""

    logger: FilteringBoundLogger
    event_format: EventFormat | None

    def started(self, settings: Settings, games: int, address: str | None) -> None:
        """Reports the start with this many running games, and the address of the page if there is one."""
        ...

    def stopped(self, counters: Counters, open_incidents: int | None) -> None:
        """Reports the end; `open_incidents` is None if the log did not answer."""
        ...


class JSONConsole:
    """Writes events as JSON lines to standard output, and everything else as log lines to standard error."""

    event_format: EventFormat | None = None

    def __init__(self, log_level: LogLevel | None) -> None:
        self.logger = configure_logs(log_level or "info")

    def started(self, settings: Settings, games: int, address: str | None) -> None:
        sharing: dict[str, str] = {}
        if settings.cluster is not None:
            sharing = {"cluster": shown(settings.cluster), "lease": str(settings.lease or DEFAULT_LEASE)}
        elif settings.shard is not None:
            sharing = {"shard": f"{settings.shard.number}/{settings.shard.count}"}
        self.logger.info(
            "started",
            games=games,
            records=shown(settings.records),
            log=shown(settings.log),
            publish=[publisher_name(url) for url in settings.publish],
            notify=[notification_name(url) for url in settings.notify],
            interval=str(settings.interval),
            timeout=str(settings.timeout),
            failures=settings.failures,
            **sharing,
            **({} if address is None else {"address": address}),
        )

    def stopped(self, counters: Counters, open_incidents: int | None) -> None:
        self.logger.info("stopped", **counters.summary(), open_incidents=open_incidents)


class TerminalConsole:
    """Writes transitions as lines to the terminal, between an introduction and a summary on standard error."""

    def __init__(self, log_level: LogLevel | None, introduction: str = "") -> None:
        self.logger = configure_logs(log_level or "warning")
        self.event_format: EventFormat | None = terminal.TransitionLines(terminal.console_for())
        self._console = terminal.console_for(stderr=True)
        self._introduction = introduction

    def started(self, settings: Settings, games: int, address: str | None) -> None:
        opening = self._introduction or f"{counted(games, 'running game')}, probed every {settings.interval}"
        in_a_row = "1 failure counts" if settings.failures == 1 else f"{settings.failures} failures in a row count"
        self._print(f"{opening}; {in_a_row}. Ctrl-C ends it.")
        if address is not None:
            self._print(f"Page: {address}")
        if games == 0:
            self._print("Add a game: healthprobe runtimes add GAME http://HOST:PORT, now or at any time.")

    def stopped(self, counters: Counters, open_incidents: int | None) -> None:
        parts = [
            counted(counters.games, "engine"),
            counted(counters.probes, "probe"),
            counted(sum(counters.events.values()), "transition"),
        ]
        if open_incidents is not None:
            parts.append(f"{counted(open_incidents, 'incident')} open")
        sys.stderr.write("\r")  # over the terminal's ^C
        self._print(", ".join(parts) + ".")

    def _print(self, sentence: str) -> None:
        from rich.text import Text

        self._console.print(Text(sentence, terminal.ASIDE))


def run_console(*, as_json: bool, log_level: LogLevel | None, introduction: str = "") -> RunConsole:
    """Returns a TerminalConsole if standard output is a terminal and JSON is not requested, else a JSONConsole."""
    if terminal.people_watch(json_wanted=as_json):
        return TerminalConsole(log_level, introduction)
    return JSONConsole(log_level)
