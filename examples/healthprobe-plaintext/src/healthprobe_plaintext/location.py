"""The path in a URL of this package."""

from __future__ import annotations

from pathlib import Path

from healthprobe.ports import ConfigurationError


def path_of(url: str) -> Path:
    """Returns the path after the scheme. Raises ConfigurationError if it is empty or its folder does not exist."""
    scheme, _, path = url.partition(":")
    if not path:
        raise ConfigurationError(f"{url} names no file; write {scheme}:PATH")
    if not Path(path).parent.is_dir():
        raise ConfigurationError(f"{url}: there is no folder {Path(path).parent}; create it, or name another one")
    return Path(path)
