"""The showing: what lets others see a run. Nothing of it is imported, made or paid for where nobody asked for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from healthprobe.surfaces.tally import Tally
from healthprobe.worker.beside import beside

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from healthprobe.ports import Telemetry
    from healthprobe.surfaces.composition import Parts
    from healthprobe.surfaces.otlp.exporting import Otlp
    from healthprobe.surfaces.settings import Settings


def load(settings: Settings) -> None:
    """Import what a run with these settings is shown by: the demo's engines, once started, do not wait for that."""
    if settings.listen is not None:
        import healthprobe.surfaces.api.app
        import healthprobe.surfaces.api.server
        import healthprobe.surfaces.metrics.collector  # noqa: F401


class Showing:
    """Shows a run as `settings` ask for: over HTTP, to a collector, both, or not at all.

    The worker is made with `telemetry`, the prober with `traceparent`; `tally` is what has counted. Raises
    ConfigurationError where it cannot be.
    """

    def __init__(self, settings: Settings, logger: FilteringBoundLogger) -> None:
        self._settings = settings
        self._otlp: Otlp | None = None
        self.tally = Tally()
        if self._is_wanted:
            from healthprobe.surfaces.sight.histories import Histories

            self.tally = Histories()
        self.telemetry: Telemetry = self.tally
        self.traceparent: Callable[[str], bytes] | None = None
        if settings.otlp is not None:
            from healthprobe.surfaces.otlp.opening import otlp

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
        from healthprobe.surfaces.metrics.collector import RunCollector, exposition, registry_of
        from healthprobe.surfaces.sight.histories import Histories
        from healthprobe.surfaces.sight.sight import Sight

        assert isinstance(self.tally, Histories)
        sight = Sight(
            settings=self._settings,
            view=parts.worker.view,
            log=parts.log,
            histories=self.tally,
            connections=parts.prober,
            cluster=parts.leases,
        )
        registry = registry_of(RunCollector(sight))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(beside(sight.run()))
            if self._otlp is not None:
                stack.push_async_callback(self._otlp.aclose)
                await stack.enter_async_context(beside(self._otlp.run(registry, sight)))
            address: str | None = None
            if self._settings.listen is not None:
                from healthprobe.surfaces.api.app import application
                from healthprobe.surfaces.api.server import serving

                app = application(sight, lambda: exposition(registry), token=self._settings.token)
                address = await stack.enter_async_context(serving(app, self._settings.listen))
            yield address
