"""Imports a library without what it would use but does not need."""

from __future__ import annotations

import sys
from importlib import import_module


def import_without(library: str, unneeded: str) -> None:
    """Imports `library` as if the library `unneeded` were not installed; does nothing if either is imported already.

    For a program only, which decides for its whole process: what is imported later gets the same `library`.
    """
    if library in sys.modules or unneeded in sys.modules:
        return
    hidden: dict[str, None] = {unneeded: None}
    sys.modules.update(hidden)  # type: ignore[arg-type]  # None is how Python marks a module that cannot be imported
    try:
        import_module(library)
    finally:
        del sys.modules[unneeded]
