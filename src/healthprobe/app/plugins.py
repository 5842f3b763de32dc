"""Plugins: stores, logs and publishers of third parties, found by entry points under their URL schemes."""

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

Opener = Callable[[str], AbstractAsyncContextManager[Any]]
"""What an entry point names: called with the whole URL, it opens and closes what its group is about."""


def installed(group: str) -> list[str]:
    """The schemes that installed packages bring for `group`, in order."""
    return sorted({entry_point.name for entry_point in entry_points(group=group)})


def opener(group: str, scheme: str) -> Opener | None:
    """What an installed package brings for `scheme`, or None. Raises ConfigurationError where it cannot be loaded."""
    for entry_point in entry_points(group=group, name=scheme):
        try:
            loaded: Opener = entry_point.load()
        except Exception as error:
            package = entry_point.dist.name if entry_point.dist else entry_point.value
            raise ConfigurationError(
                f"{scheme}: comes with {package}, which cannot be loaded: {error!r}; mend or remove that package"
            ) from error
        return loaded
    return None


@asynccontextmanager
async def opened(opener: Opener, url: str) -> AsyncIterator[Any]:
    """What `opener` opens. Raises its HealthprobeError, and ConfigurationError for a bug of its own."""
    async with AsyncExitStack() as stack:
        try:
            made = await stack.enter_async_context(opener(url))
        except HealthprobeError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"{shown(url)}: the package that brings {scheme_of(url)}: cannot open it: {masked(repr(error))}"
            ) from error
        yield made
