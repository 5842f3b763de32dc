"""The extras: what is not installed is named, with the line that installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from healthprobe.ports import ConfigurationError


@contextmanager
def extra(name: str, wanted: str) -> Iterator[None]:
    """Tell which extra brings the library that `wanted` needs, where it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("healthprobe"):
            raise
        raise ConfigurationError(
            f"{wanted} needs {error.name}, which is not installed: pip install 'healthprobe[{name}]'"
        ) from error
