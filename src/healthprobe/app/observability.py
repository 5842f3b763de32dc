"""The showing: what lets others see a run. Nothing of it is imported, made or paid for where nobody asked for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
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


def load(settings: Settings) -> None:
    """Import what a run with these settings is shown by: the demo's engines, once started, do not wait for that."""
    if settings.listen is not None:
        pass


class Showing:
    """Shows a run as `settings` ask for: over HTTP, to a collector, both, or not at all.

    The worker is made with `telemetry`, the prober with `traceparent`; `tally` is what has counted. Raises
    ConfigurationError where it cannot be.
    """

    def __init__(self, settings: Settings, logger: FilteringBoundLogger) -> None:
        self._settings = settings
        self._otlp: OTLPExporter | None = None
        self.tally = Counters()
        if self._is_wanted:
            from healthprobe.status.histories import Histories

            self.tally = Histories()
        self.telemetry: Telemetry = self.tally
        self.traceparent: Callable[[str], bytes] | None = None
        if settings.otlp is not None:
            self._otlp = otlp(settings.otlp, self.tally, logger)
            self.telemetry = self._otlp.telemetry
            self.traceparent = self._otlp.telemetry.traceparent

    @property
    def _is_wanted(self) -> bool:
        return self._settings.listen is not None or self._settings.otlp is not None

    @asynccontextmanager
    async def of(self, parts: Parts) -> AsyncIterator[str | None]:
        """Show what `parts` do, as long as somebody is inside; gives the URL at which it can be seen, if there is one.

        Raises ConfigurationError where nobody can listen there.
        """
        if not self._is_wanted:
            yield None
            return
        from healthprobe.status.histories import Histories
        from healthprobe.status.run_status import RunStatus
        from healthprobe.telemetry.collector import RunCollector, exposition, registry_of

        assert isinstance(self.tally, Histories)
        status = RunStatus(
            config=parts.worker.config,
            worker=parts.worker.status,
            log=parts.log,
            counters=self.tally,
            connections=parts.prober,
            cluster=parts.leases,
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

                app = create_app(status, lambda: exposition(registry), token=self._settings.token)
                address = await stack.enter_async_context(serving(app, self._settings.listen))
            yield address


def otlp(url: str, telemetry: Telemetry, logger: FilteringBoundLogger | None = None) -> OTLPExporter:
    """An export to the collector at `url`, such as http://collector:4318, of what `telemetry` is told and more.

    Its own `telemetry` stands before the given one: that is what the worker is made with. `run` exports, `aclose` ends
    it. Raises ConfigurationError where `url` is none of OTLP/HTTP, and where the extra is not installed.
    """
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        told = shown(url) if "://" in url else url
        raise ConfigurationError(f"--otlp {told}: OTLP goes over HTTP here; use http://HOST:4318 or https://…")
    with extra("otel", "--otlp"):
        from healthprobe.telemetry.otlp_exporter import OTLPExporter
    return OTLPExporter(url, telemetry, logger)
