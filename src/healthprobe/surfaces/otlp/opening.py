"""The opening of an export: the one module here that can be imported where the extra is not installed."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from structlog.typing import FilteringBoundLogger

from healthprobe.ports import ConfigurationError, Telemetry
from healthprobe.surfaces.extras import extra
from healthprobe.surfaces.naming import shown

if TYPE_CHECKING:
    from healthprobe.surfaces.otlp.exporting import Otlp


def otlp(url: str, telemetry: Telemetry, logger: FilteringBoundLogger | None = None) -> Otlp:
    """An export to the collector at `url`, such as http://collector:4318, of what `telemetry` is told and more.

    Its own `telemetry` stands before the given one: that is what the worker is made with. `run` exports, `aclose` ends
    it. Raises ConfigurationError where `url` is none of OTLP/HTTP, and where the extra is not installed.
    """
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        told = shown(url) if "://" in url else url
        raise ConfigurationError(f"--otlp {told}: OTLP goes over HTTP here; use http://HOST:4318 or https://…")
    with extra("otel", "--otlp"):
        from healthprobe.surfaces.otlp.exporting import Otlp
    return Otlp(url, telemetry, logger)
