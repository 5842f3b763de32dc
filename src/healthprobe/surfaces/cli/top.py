"""`healthprobe top`: a run as it goes."""

from __future__ import annotations

from healthprobe.surfaces.cli.whom import At


def top(at: At = None) -> None:
    """Watch a run live, in a terminal: who is down, what turned, and how the prober does.

    The run was started with --listen. The screen is drawn once a second until
    Ctrl-C; if the run goes away it says so, and goes on when it is back.

    Example: [b]healthprobe top --at http://prober:8600[/b]
    """
    from healthprobe.surfaces.client.top import show_top

    show_top(at)
