"""The client of a run's API, and the options that name a run or a log."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import SplitResult, quote, unquote, urlsplit

import msgspec
import typer

from healthprobe._util.text import printable
from healthprobe.app.settings import DEFAULT_AT, DEFAULT_DATABASE, TOKEN
from healthprobe.cli import options
from healthprobe.domain.endpoint import masked
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import ConfigurationError
from healthprobe.web.schemas import Document, Error, Events, Fleet, GameDetails, Incidents

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


_TIMEOUT = 5.0
_LARGEST = 16 * 1024 * 1024

Asked = TypeVar("Asked", bound=Document)


class NobodyListens(ConfigurationError):
    """No connection, or one that gave no answer: the run is away, or was never there."""


class Unwell(ConfigurationError):
    """The run answers that it cannot tell this now."""


class UnknownThere(ConfigurationError):
    """The run knows nothing of that name."""


class Instance:
    """A run that listens `at` a URL. Every question raises NobodyListens, or ConfigurationError where what answers is
    no healthprobe or wants another token; it takes `timeout` seconds for each wait at most.
    """

    def __init__(self, at: str, *, token: str | None = None, timeout: float = _TIMEOUT) -> None:
        self.at = printable(masked(at))
        """The URL as it may be shown."""
        self._url = _checked(at, self.at)
        self._token = token or (unquote(self._url.password) if self._url.password else None)
        self._timeout = timeout

    def fleet(self) -> Fleet:
        return self._ask("/api/fleet", Fleet)

    def incidents(self, limit: int) -> Incidents:
        """At most `limit` of them, open ones first, the longest first."""
        return self._ask(f"/api/incidents?limit={limit}", Incidents)

    def events(self, limit: int) -> list[HealthEvent]:
        """The last `limit` events of its log, the oldest first."""
        try:
            return [
                HealthEvent.from_document(each.event) for each in self._ask(f"/api/events?limit={limit}", Events).events
            ]
        except ValueError:
            raise self._stranger() from None

    def game(self, game_id: str) -> GameDetails:
        """Raises UnknownThere."""
        return self._ask(f"/api/games/{quote(game_id, safe='')}", GameDetails)

    def _ask(self, path: str, kind: type[Asked]) -> Asked:
        try:
            status, content = self._get(self._url.path.rstrip("/") + path)
        except (OSError, HTTPException) as error:
            raise NobodyListens(
                f"--at {self.at}: nobody answers there ({_cause(error)}); "
                "start one with: healthprobe run --listen HOST:PORT, or read a log with --log"
            ) from error
        if status == 200:
            try:
                return msgspec.json.decode(content, type=kind)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise self._stranger() from None
        raise self._refusal(status, content)

    def _get(self, path: str) -> tuple[int, bytes]:
        host, port = self._url.hostname or "", self._url.port
        headers = {"Accept": "application/json", "Connection": "close"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        scheme = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
        connection = scheme(host, port, timeout=self._timeout)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read(_LARGEST)
        finally:
            connection.close()

    def _refusal(self, status: int, content: bytes) -> Exception:
        """What an answer other than 200 comes to. One that is not in our words is not from one of us."""
        try:
            told = printable(msgspec.json.decode(content, type=Error).error)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._stranger()
        if status == 401:
            how = f"the token in {TOKEN} is another one" if self._token else f"it wants a token: set {TOKEN}"
            return ConfigurationError(f"--at {self.at}: {how}, to what that run was started with")
        kind = UnknownThere if status == 404 else Unwell if status >= 500 else ConfigurationError
        return kind(f"--at {self.at}: it answers {status}: {told}")

    def _stranger(self) -> ConfigurationError:
        return ConfigurationError(f"--at {self.at}: what answers there is not a healthprobe of this version")


def instance_at(at: str | None) -> Instance:
    """The run at `at`, or where a run listens by default, with the token of the environment."""
    return Instance(at or DEFAULT_AT, token=os.environ.get(TOKEN) or None)


def _checked(at: str, shown: str) -> SplitResult:
    try:
        url = urlsplit(at)
        if url.scheme in {"http", "https"} and url.hostname and (url.port is None or url.port) and at.isprintable():
            return url
    except ValueError:
        pass
    raise ConfigurationError(f"--at {shown}: it is no address of a run; write one such as {DEFAULT_AT}")


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return printable(str(error)) or type(error).__name__


At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="URL",
        envvar="HEALTHPROBE_AT",
        show_default=DEFAULT_AT,
        help="The run to ask, by the address that it listens at. Its token, where it wants one, is read from "
        "$HEALTHPROBE_TOKEN.",
    ),
]
InsteadLog = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="URL",
        envvar=["HEALTHPROBE_LOG", options.CLUSTER],
        show_default=f"{DEFAULT_DATABASE}, where nobody listens and --at names nobody",
        help=f"Ask no run but read this log: {options.LOG_URLS}. In a variable: only where no run answers.",
    ),
]


def whom(context: typer.Context, at: str | None, log: str | None) -> Whom:
    """Whom to ask. Raises ConfigurationError where the command line names both a run and a log.

    What the command line names counts before what the environment does. Where nobody is named, the run that listens
    where runs do, and if there is none, the log of this folder.
    """
    named = {name for name in ("at", "log") if _is_on_command_line(context, name)}
    if named == {"at", "log"}:
        raise ConfigurationError("--at asks a run and --log reads a log: leave one of them out")
    if "log" in named:
        return Whom(at=None, log=log)
    if at is not None:
        return Whom(at=at)
    return Whom(
        at=None, instead=log or (DEFAULT_DATABASE if Path(DEFAULT_DATABASE.partition(":")[2]).exists() else None)
    )


def _is_on_command_line(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
