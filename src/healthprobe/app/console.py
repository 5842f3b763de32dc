"""The audience of a run: people at a terminal, or machines behind a pipe. What each is told, and in what form."""

from __future__ import annotations

import sys
from typing import Protocol

from rich.text import Text
from structlog.typing import FilteringBoundLogger

from healthprobe._util.text import counted
from healthprobe.app import terminal
from healthprobe.app.settings import DEFAULT_LEASE, Settings
from healthprobe.app.url_names import notification_name, publisher_name, shown
from healthprobe.app.urls import EventLine
from healthprobe.status.counters import Counters
from healthprobe.telemetry.logs import LogLevel, configure_logs


class Audience(Protocol):
    """Who follows a run. `line` is how stdout: writes an event to them; None is the event's own JSON."""

    logger: FilteringBoundLogger
    line: EventLine | None

    def started(self, settings: Settings, games: int, address: str | None) -> None:
        """The run begins, over `games` running games, and can be seen at `address` if there is one."""
        ...

    def stopped(self, tally: Counters, open_incidents: int | None) -> None:
        """The run has ended cleanly; so many of its games are in an incident, if the log still tells."""
        ...


class Machines:
    """Events as JSON lines on standard output, everything else as log lines on standard error."""

    line: EventLine | None = None

    def __init__(self, log_level: LogLevel | None) -> None:
        self.logger = configure_logs(log_level or "info")

    def started(self, settings: Settings, games: int, address: str | None) -> None:
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
            **_shared(settings),
            **({} if address is None else {"address": address}),
        )

    def stopped(self, tally: Counters, open_incidents: int | None) -> None:
        self.logger.info("stopped", **tally.summary(), open_incidents=open_incidents)


def _shared(settings: Settings) -> dict[str, str]:
    """With whom a run shares the fleet."""
    if settings.cluster is not None:
        return {"cluster": shown(settings.cluster), "lease": str(settings.lease or DEFAULT_LEASE)}
    return {} if settings.shard is None else {"shard": f"{settings.shard.number}/{settings.shard.count}"}


class People:
    """Transitions as lines in the terminal between one line of introduction and one of summary, on standard error."""

    def __init__(self, log_level: LogLevel | None, introduction: str = "") -> None:
        self.logger = configure_logs(log_level or "warning")
        self.line: EventLine | None = terminal.TransitionLines(terminal.console_for())
        self._console = terminal.console_for(stderr=True)
        self._introduction = introduction

    def started(self, settings: Settings, games: int, address: str | None) -> None:
        opening = self._introduction or f"{counted(games, 'running game')}, probed every {settings.interval}"
        in_a_row = "1 failure counts" if settings.failures == 1 else f"{settings.failures} failures in a row count"
        self._say(f"{opening}; {in_a_row}. Ctrl-C ends it.")
        if address is not None:
            self._say(f"Look at it: {address}")
        if games == 0:
            self._say("Add one: healthprobe runtimes add GAME http://HOST:PORT, now or at any time.")

    def stopped(self, tally: Counters, open_incidents: int | None) -> None:
        told = [
            counted(tally.games, "engine"),
            counted(tally.probes, "probe"),
            counted(sum(tally.events.values()), "transition"),
        ]
        if open_incidents is not None:
            told.append(f"{counted(open_incidents, 'incident')} open")
        sys.stderr.write("\r")  # over the ^C that the terminal has left there
        self._say(", ".join(told) + ".")

    def _say(self, sentence: str) -> None:
        self._console.print(Text(sentence, terminal.ASIDE))


def audience_for(*, as_json: bool, log_level: LogLevel | None, introduction: str = "") -> Audience:
    """People where standard output is a terminal and nobody asked for JSON, else machines."""
    if terminal.people_watch(json_wanted=as_json):
        return People(log_level, introduction)
    return Machines(log_level)
