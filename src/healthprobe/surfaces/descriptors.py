"""File descriptors: what a process that keeps a connection to every engine asks of its system."""

from __future__ import annotations

import resource


def raise_descriptor_limit() -> None:
    """As many open files as the system lets us have: one connection an engine is kept open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
