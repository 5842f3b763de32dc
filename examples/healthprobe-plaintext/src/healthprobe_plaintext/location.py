"""The location: the path that one of our URLs names."""

from __future__ import annotations

from pathlib import Path

from healthprobe.ports import ConfigurationError


def path_of(url: str) -> Path:
    """What stands behind the scheme. Raises ConfigurationError where nothing does, or where no file can be."""
    scheme, _, path = url.partition(":")
    if not path:
        raise ConfigurationError(f"{url} names no file; write {scheme}:PATH")
    if not Path(path).parent.is_dir():
        raise ConfigurationError(f"{url}: there is no folder {Path(path).parent}; make it, or name another one")
    return Path(path)
