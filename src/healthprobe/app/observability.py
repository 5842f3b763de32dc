"""Observability of a run: counters, the page and API, export to a collector. Imports only what the settings ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from healthprobe._util.aio import background_tasks
from healthprobe.app.url_names import shown
from healthprobe.app.urls import extra
from healthprobe.ports import ConfigurationError
from healthprobe.status.counters import Counters

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from healthprobe.app.compose import Parts
    from healthprobe.app.settings import Settings
    from healthprobe.ports import Telemetry
    from healthprobe.telemetry.otlp_exporter import OTLPExporter


class Observability:
    """Counts what a run does, and serves or exports it as the settings ask for.

    `telemetry` is for the worker, `traceparent` for the prober. Raises ConfigurationError for a wrong URL or a missing
    extra.
    """

    def __init__(self, settings: Settings, logger: FilteringBoundLogger) -> None:
        self._settings = settings
        self._otlp: OTLPExporter | None = None
        self.counters = Counters()
        if self._is_wanted:
            from healthprobe.status.histories import Histories

            self.counters = Histories()
        self.telemetry: Telemetry = self.counters
        self.traceparent: Callable[[str], bytes] | None = None
        if settings.otlp is not None:
            self._otlp = otlp(settings.otlp, self.counters, logger)
            self.telemetry = self._otlp.telemetry
            self.traceparent = self._otlp.telemetry.traceparent

    @property
    def _is_wanted(self) -> bool:
        return self._settings.listen is not None or self._settings.otlp is not None

    @asynccontextmanager
    async def serving(self, parts: Parts) -> AsyncIterator[str | None]:
        """Serves and exports the state of the run while the block runs. Yields the URL of the page, if there is one.

        Raises ConfigurationError if the address cannot be listened at.
        """
        if not self._is_wanted:
            yield None
            return
        from healthprobe.status.histories import Histories
        from healthprobe.status.run_status import RunStatus
        from healthprobe.telemetry.collector import RunCollector, exposition, registry_of

        assert isinstance(self.counters, Histories)
        status = RunStatus(
            config=parts.worker.config,
            worker=parts.worker.status,
            log=parts.log,
            counters=self.counters,
            connections=parts.prober,
            cluster=parts.leases,
            silences=parts.silences,
            metric_label=self._settings.metric_label,
        )
        registry = registry_of(RunCollector(status))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(background_tasks(status.run()))
            if self._otlp is not None:
                stack.push_async_callback(self._otlp.aclose)
                await stack.enter_async_context(background_tasks(self._otlp.run(registry, status)))
            address: str | None = None
            if self._settings.listen is not None:
                from healthprobe.web.app import create_app
                from healthprobe.web.server import serving

                app = create_app(status, partial(exposition, registry), token=self._settings.token)
                address = await stack.enter_async_context(serving(app, self._settings.listen))
            yield address


def otlp(url: str, telemetry: Telemetry, logger: FilteringBoundLogger | None = None) -> OTLPExporter:
    """Returns an exporter to the collector at a URL, such as http://collector:4318.

    Its own `telemetry` is for the worker, and passes everything on to the given one. Raises ConfigurationError for a
    URL that is not one of OTLP over HTTP, and if the extra is not installed.
    """
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        name = shown(url) if "://" in url else url
        raise ConfigurationError(f"--otlp {name}: only OTLP over HTTP is supported; use http://HOST:4318 or https://…")
    with extra("otel", "--otlp"):
        from healthprobe.telemetry.otlp_exporter import OTLPExporter
    return OTLPExporter(url, telemetry, logger)
