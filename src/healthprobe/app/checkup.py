"""The check-up of a run's settings: would a run with them begin and do its work? Writes, creates and sends nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvloop

from healthprobe._util.text import counted, printable
from healthprobe.app import plugins
from healthprobe.app.compose import canary_targets, networks_of
from healthprobe.app.settings import Settings
from healthprobe.app.url_names import NOTIFY, alerter_name, notification_name, publisher_name, scheme_of, shown
from healthprobe.app.urls import ALERTERS, DATABASES, LOGS, PUBLISHERS, Adapters, extra
from healthprobe.domain.alarms.alert import AlertRoute
from healthprobe.domain.outcome import Failed, Healthy
from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.domain.target import parse_target
from healthprobe.http_client.secret import Secret
from healthprobe.ports import ConfigurationError, HealthprobeError, Reachable
from healthprobe.status.counters import Counters
from healthprobe.web.listeners import check_free

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_PATIENCE = 10.0
"""Seconds for each question."""


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What the check-up found of one part of a run. `message` says what to change, if the verdict is not OK."""

    part: str
    where: str
    verdict: Verdict
    message: str


Check = Callable[[], Awaitable["str | Finding"]]
"""Returns what was found in words, or a finding. Raises HealthprobeError for what is wrong."""


def check_up(settings: Settings, logger: FilteringBoundLogger) -> list[Finding]:
    """Looks at everything that a run with these settings would use, and returns a finding for each part."""
    return uvloop.run(_check_up(settings, logger))


async def _check_up(settings: Settings, logger: FilteringBoundLogger) -> list[Finding]:
    async with Adapters(existing=True, logger=logger, webhook_secret=settings.webhook_secret) as adapters:
        checkup = _Checkup(settings, adapters)
        checks = (_finding(part, where, check) for part, where, check in checkup.checks())
        return [*await asyncio.gather(*checks), *checkup.idle_routes()]


async def _finding(part: str, where: str, check: Check) -> Finding:
    try:
        async with asyncio.timeout(_PATIENCE):
            found = await check()
    except TimeoutError:
        message = f"no answer within {_PATIENCE:g}s: check that it runs, and the way to it from here"
        return Finding(part, where, Verdict.WRONG, message)
    except HealthprobeError as error:
        return Finding(part, where, Verdict.WRONG, str(error))
    return found if isinstance(found, Finding) else Finding(part, where, Verdict.OK, found)


class _Checkup:
    """The checks that the settings call for."""

    def __init__(self, settings: Settings, adapters: Adapters) -> None:
        self._settings = settings
        self._adapters = adapters
        self._labels: list[Mapping[str, str]] = []

    def checks(self) -> Iterator[tuple[str, str, Check]]:
        settings = self._settings
        yield "records", shown(settings.records), self._records
        if settings.cluster is None:
            yield "log", shown(settings.log), self._log
        else:
            yield "cluster", shown(settings.cluster), self._log
        for url in dict.fromkeys(settings.publish):
            yield "publish", publisher_name(url), partial(self._publisher, url)
        for url in dict.fromkeys(settings.notify):
            yield "notify", notification_name(url), partial(self._notification, url)
        for route in settings.alerts:
            yield "alert", _place(route), partial(self._alerter, route.url)
        for url in dict.fromkeys(settings.canaries):
            yield "canary", shown(url), partial(self._canary, url)
        if settings.otlp is not None:
            yield "otlp", _host_of(settings.otlp), partial(self._otlp, settings.otlp)
        if settings.heartbeat is not None:  # its path is a secret
            yield "heartbeat", _host_of(settings.heartbeat), partial(self._heartbeat, settings.heartbeat)
        if settings.listen is not None:
            yield "listen", str(settings.listen), self._listen

    def idle_routes(self) -> Iterator[Finding]:
        """Yields a warning for each route whose labels no running game has, if any game is known."""
        for route in self._settings.alerts:
            if self._labels and not any(route.match.items() <= labels.items() for labels in self._labels):
                wanted = ", ".join(f"{name} = {value}" for name, value in route.match.items())
                message = f"no running game has {wanted}: until one has, this route gets no alert"
                yield Finding("alert", _place(route), Verdict.WARNING, message)

    async def _records(self) -> Finding:
        settings, url = self._settings, self._settings.records
        skipped: list[tuple[int, str]] = []
        found: Sequence[RuntimeRecord] | str
        if scheme_of(url) in DATABASES:
            from healthprobe.adapters.sql.unchanged import look_at_records

            found = await look_at_records(url, settings.records_query, lambda *each: skipped.append(each))
        else:
            self._adapters.skipped.report = lambda *each: skipped.append(each)  # type: ignore[method-assign]
            try:
                store = await self._adapters.records(url, settings.records_query)
            except ConfigurationError as error:
                if not _is_created_by_a_run(error):
                    raise
                found = "a run creates it, without games"
            else:
                found = await store.list_by_status(RUNNING)
        if isinstance(found, str):
            return Finding("records", shown(url), Verdict.OK, found)
        return self._judge_records(found, skipped[-1] if skipped else (0, ""))

    def _judge_records(self, records: Sequence[RuntimeRecord], skipped: tuple[int, str]) -> Finding:
        settings = self._settings
        bad, first = skipped
        for record in records:
            target = parse_target(
                record, float(settings.timeout), longest=float(settings.interval), defaults=settings.probe
            )
            if isinstance(target.endpoint, Failed):
                bad += 1
                first = first or f"{record.game_id}: {target.endpoint.last_error}"
            else:
                self._labels.append({**record.labels, "game_id": record.game_id, "host": target.endpoint.host})
        message = counted(len(records), "running game")
        if bad:
            message += f", {counted(bad, 'bad record')}, the first: {first}"
        return Finding("records", shown(settings.records), Verdict.WARNING if bad else Verdict.OK, message)

    async def _log(self) -> str:
        url = self._settings.log
        if scheme_of(url) in DATABASES:
            from healthprobe.adapters.sql.unchanged import look_at_log

            return await look_at_log(url)
        if scheme_of(url) not in LOGS and plugins.opener(plugins.LOGS, scheme_of(url)) is not None:
            return _PLUGIN
        try:
            await self._adapters.log(url)
        except ConfigurationError as error:
            if not _is_created_by_a_run(error):
                raise
            return "it answers, and a run creates the log in it"
        return "it answers, and has a log"

    async def _publisher(self, url: str) -> str:
        scheme = scheme_of(url)
        if scheme == "stdout":
            return "events go to standard output"
        if scheme == "file":
            from healthprobe.adapters.file import check_file

            return await asyncio.to_thread(check_file, Path(url.partition(":")[2] or "."))
        if scheme not in PUBLISHERS and plugins.opener(plugins.PUBLISHERS, scheme) is not None:
            return _PLUGIN
        publisher = await self._adapters.publisher(url)
        if isinstance(publisher, Reachable):
            await publisher.reach()
            return "it answers"
        return await _connect(url)

    async def _alerter(self, url: str) -> str | Finding:
        if url.startswith(NOTIFY):
            return await self._notification(url.removeprefix(NOTIFY))
        scheme = scheme_of(url).partition("+")[0]
        if scheme not in {"alertmanager", "pagerduty"}:
            if scheme_of(url) not in ALERTERS and plugins.opener(plugins.ALERTERS, scheme_of(url)) is not None:
                return _PLUGIN
            targets = await self._adapters.alerters(url)
            return f"its URL is valid, for {counted(len(targets), 'receiver')}; only an alert shows whether it arrives"
        with extra("http", f"{scheme}:"):
            from healthprobe.adapters.alertmanager.address import parse_alertmanagers
            from healthprobe.adapters.pagerduty.address import parse_service
        if scheme == "pagerduty":
            service = parse_service(url)
            service.routing_key()
            return _unless_exposed(service.key, url, await _connect(str(service.address.url)))
        for alerter in (await self._adapters.alerters(url)).values():
            assert isinstance(alerter, Reachable)
            await alerter.reach()
        return _unless_exposed(parse_alertmanagers(url).login.secret, url, "it answers")

    async def _notification(self, url: str) -> str:
        targets = await self._adapters.notifiers(url)
        return f"its URL is valid, for {counted(len(targets), 'target')}; only a message shows whether it arrives"

    async def _canary(self, url: str) -> str:
        from healthprobe.probing.http import HTTPProber

        [target] = canary_targets([url], float(self._settings.timeout))
        async with HTTPProber(keep_connections=False, networks=networks_of(self._settings)) as prober:
            outcome = await prober.probe(target)
        if isinstance(outcome, Healthy):
            return "it answers 200"
        cause = outcome.last_error if isinstance(outcome, Failed) else outcome.cause
        raise ConfigurationError(f"{cause}: while no canary answers 200 no failure counts; name one that does")

    async def _otlp(self, url: str) -> str:
        from healthprobe.app.observability import otlp

        otlp(url, Counters())  # which refuses an URL of another kind, and a missing extra
        return await _connect(url)

    async def _heartbeat(self, url: str) -> str:
        self._adapters.heartbeat(url)
        return await _connect(url)

    async def _listen(self) -> str:
        assert self._settings.listen is not None
        await asyncio.to_thread(check_free, self._settings.listen)
        return "it is free"


def _place(route: AlertRoute) -> str:
    """Returns where a route leads, without secrets."""
    return alerter_name(route.url) if route.url.startswith(NOTIFY) else shown(route.url)


def _unless_exposed(secret: Secret | None, url: str, found: str) -> str | Finding:
    """Returns what was found of an alerter, or a warning if others may read its secret."""
    exposure = "" if secret is None else secret.exposure()
    return Finding("alert", shown(url), Verdict.WARNING, f"{found}; {exposure}") if exposure else found


def _is_created_by_a_run(error: ConfigurationError) -> bool:
    return any(words in str(error) for words in ("holds nothing yet", "there is no such bucket"))


_PLUGIN = "its plugin is installed; only a run shows whether it works"


def _host_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" if parts.hostname else parts.scheme


async def _connect(url: str) -> str:
    """Connects to the host of a URL, with TLS where the URL has it, and sends nothing. Raises ConfigurationError."""
    parts = urlsplit(url)
    is_tls = parts.scheme.endswith("https")
    try:
        port = parts.port or (443 if is_tls else 80)
        context = ssl.create_default_context() if is_tls else None
        _, writer = await asyncio.open_connection(parts.hostname or "", port, ssl=context)
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
        cause = str(error) if number is None or number not in errno.errorcode else os.strerror(number)
        raise ConfigurationError(
            f"{parts.hostname}:{parts.port or ''}".rstrip(":")
            + f" cannot be reached ({printable(cause.lower())}): check that it runs, and the way to it from here"
        ) from None
    writer.transport.abort()
    return "it takes connections; nothing was sent"
