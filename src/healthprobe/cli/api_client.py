"""The client of a run's API, and the options that name a run or a log."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit

import msgspec
import typer

from healthprobe._util.text import printable
from healthprobe.app.settings import DEFAULT_AT, DEFAULT_DATABASE, TOKEN
from healthprobe.cli import options
from healthprobe.domain.endpoint import masked
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import ConfigurationError
from healthprobe.web.listen_address import unix_path
from healthprobe.web.schemas import Document, Error, Events, Fleet, GameDetails, Games, Incidents

Answer = TypeVar("Answer")
Kind = TypeVar("Kind", bound=Document)

_TIMEOUT = 5.0
_LARGEST = 16 * 1024 * 1024


class NoAnswer(ConfigurationError):
    """No connection, or no answer: no run listens there."""


class ServerError(ConfigurationError):
    """The run answers that it cannot answer this now (5xx)."""


class NotFound(ConfigurationError):
    """The run does not know the name (404)."""


class _UnixConnection(HTTPConnection):
    """A connection to a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost")
        self._path = path
        self._seconds = timeout

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self._seconds)
        self.sock.connect(self._path)


class RunClient:
    """A client of the API of the run at a URL.

    Every method raises NoAnswer, and ConfigurationError for a wrong token or a server that is not a healthprobe run.
    """

    def __init__(self, at: str, *, token: str | None = None, timeout: float = _TIMEOUT) -> None:
        self.at = printable(masked(at))
        """The URL without credentials."""
        self._url = _checked(at, self.at)
        self._socket = unix_path(at)
        self._prefix = "" if self._socket else self._url.path.rstrip("/")
        self._token = token or (unquote(self._url.password) if self._url.password else None)
        self._timeout = timeout

    def fleet(self) -> Fleet:
        return self._ask("/api/fleet", Fleet)

    def incidents(self, limit: int, label: Sequence[str] = ()) -> Incidents:
        """Returns at most `limit` incidents, open ones first, the longest first; those of games with these labels."""
        return self._ask(f"/api/incidents?{_query(limit=limit, label=label)}", Incidents)

    def games_in(self, state: str, label: Sequence[str]) -> int:
        """Returns the number of games with these labels that are in a state."""
        return self._ask(f"/api/games?{_query(per_page=1, state=state, label=label)}", Games).total

    def events(self, limit: int) -> list[HealthEvent]:
        """Returns the last `limit` events of its log, oldest first. Raises ServerError if the log is away."""
        try:
            return [
                HealthEvent.from_document(each.event) for each in self._ask(f"/api/events?limit={limit}", Events).events
            ]
        except ValueError:
            raise self._not_healthprobe() from None

    def game(self, game_id: str) -> GameDetails:
        """Returns the details of a game. Raises NotFound."""
        return self._ask(f"/api/games/{quote(game_id, safe='')}", GameDetails)

    def _ask(self, path: str, kind: type[Kind]) -> Kind:
        try:
            status, content = self._get(self._prefix + path)
        except (OSError, HTTPException) as error:
            raise NoAnswer(
                f"--at {self.at}: no answer ({_cause(error)}); "
                "start a run with: healthprobe run --listen HOST:PORT, or read a log with --log"
            ) from error
        if status == 200:
            try:
                return msgspec.json.decode(content, type=kind)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise self._not_healthprobe() from None
        raise self._refusal(status, content)

    def _get(self, path: str) -> tuple[int, bytes]:
        headers = {"Accept": "application/json", "Connection": "close"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = self._connection()
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read(_LARGEST)
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        if self._socket:
            return _UnixConnection(self._socket, self._timeout)
        scheme = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
        return scheme(self._url.hostname or "", self._url.port, timeout=self._timeout)

    def _refusal(self, status: int, content: bytes) -> Exception:
        try:
            reason = printable(msgspec.json.decode(content, type=Error).error)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._not_healthprobe()
        if status == 401:
            cause = f"it refuses the token in {TOKEN}: set it" if self._token else f"it requires a token: set {TOKEN}"
            return ConfigurationError(f"--at {self.at}: {cause} to the token of that run")
        kind = NotFound if status == 404 else ServerError if status >= 500 else ConfigurationError
        return kind(f"--at {self.at}: it answers {status}: {reason}")

    def _not_healthprobe(self) -> ConfigurationError:
        return ConfigurationError(f"--at {self.at}: the server is not a healthprobe run of this version")


def run_client(at: str | None) -> RunClient:
    """Returns a client of the run at a URL, or at the default one, with the token of the environment."""
    return RunClient(at or DEFAULT_AT, token=os.environ.get(TOKEN) or None)


def _query(**parameters: object) -> str:
    return urlencode(parameters, doseq=True)


def _checked(at: str, shown: str) -> SplitResult:
    try:
        url = urlsplit(at)
        if unix_path(at) and at.isprintable():
            return url
        if url.scheme in {"http", "https"} and url.hostname and (url.port is None or url.port) and at.isprintable():
            return url
    except ValueError:
        pass
    raise ConfigurationError(f"--at {shown}: not the address of a run; write one such as {DEFAULT_AT}")


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return printable(str(error)) or type(error).__name__


@dataclass(frozen=True, slots=True)
class Source:
    """Where a command gets its answer: the `log`, or else the run `at` a URL, or else the log `fallback`."""

    at: str | None
    log: str | None = None
    fallback: str | None = None

    def ask(self, from_run: Callable[[RunClient], Answer], from_log: Callable[[str], Answer]) -> Answer:
        """Returns what `from_run` or `from_log` returns."""
        if self.log is not None:
            return from_log(self.log)
        try:
            return from_run(run_client(self.at))
        except NoAnswer:
            if self.fallback is None:
                raise
        return from_log(self.fallback)


At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="URL",
        envvar="HEALTHPROBE_AT",
        show_default=DEFAULT_AT,
        help="The address at which the run listens, or unix:PATH. A token, if it requires one, is read from "
        "$HEALTHPROBE_TOKEN.",
    ),
]
InsteadLog = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="URL",
        envvar=["HEALTHPROBE_LOG", options.CLUSTER],
        show_default=f"{DEFAULT_DATABASE}, if no run listens and --at is not given",
        help=f"Read this log instead of asking a run: {options.LOG_URLS}. From the variable: only if no run answers.",
    ),
]


def source_of(context: typer.Context, at: str | None, log: str | None) -> Source:
    """Returns the source that the command line names, or else the environment, or else the default run or log.

    Raises ConfigurationError if the command line names both a run and a log.
    """
    named = {name for name in ("at", "log") if is_on_command_line(context, name)}
    if named == {"at", "log"}:
        raise ConfigurationError("--at asks a run and --log reads a log: leave one of them out")
    if "log" in named:
        return Source(at=None, log=log)
    if at is not None:
        return Source(at=at)
    return Source(
        at=None, fallback=log or (DEFAULT_DATABASE if Path(DEFAULT_DATABASE.partition(":")[2]).exists() else None)
    )


def is_on_command_line(context: typer.Context, name: str) -> bool:
    """Returns whether the parameter `name` was given there, and not by its variable or its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
