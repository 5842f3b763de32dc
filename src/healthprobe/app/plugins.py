"""Plugins: stores, logs, publishers and alerters of other packages, found by entry points named after URL schemes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import entry_points
from typing import Any

from healthprobe.app.url_names import scheme_of, shown
from healthprobe.domain.endpoint import masked
from healthprobe.ports import ConfigurationError, HealthprobeError

RECORDS = "healthprobe.records"
LOGS = "healthprobe.logs"
PUBLISHERS = "healthprobe.publishers"
ALERTERS = "healthprobe.alerters"

Opener = Callable[[str], AbstractAsyncContextManager[Any]]
"""The object that an entry point names: called with the URL, it opens and closes a store, log, publisher or alerter."""


def installed(group: str) -> list[str]:
    """Returns the schemes that installed packages add to a group, sorted."""
    return sorted({entry_point.name for entry_point in entry_points(group=group)})


def opener(group: str, scheme: str) -> Opener | None:
    """Returns the opener of an installed package, or None. Raises ConfigurationError if it cannot be loaded."""
    for entry_point in entry_points(group=group, name=scheme):
        try:
            loaded: Opener = entry_point.load()
        except Exception as error:
            package = entry_point.dist.name if entry_point.dist else entry_point.value
            raise ConfigurationError(
                f"{scheme}: comes with {package}, which cannot be loaded: {error!r}; fix or remove that package"
            ) from error
        return loaded
    return None


@asynccontextmanager
async def opened(opener: Opener, url: str) -> AsyncIterator[Any]:
    """Yields what `opener` opens. Any error of it but a HealthprobeError becomes a ConfigurationError."""
    async with AsyncExitStack() as stack:
        try:
            made = await stack.enter_async_context(opener(url))
        except HealthprobeError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"{shown(url)}: the plugin for {scheme_of(url)}: cannot open it: {masked(repr(error))}"
            ) from error
        yield made
