"""`healthprobe incidents`: who is down, who was, and for how long."""

from __future__ import annotations

from healthprobe.surfaces.cli import options
from healthprobe.surfaces.settings import DEFAULT_DATABASE


def incidents(log: options.ReadLog = DEFAULT_DATABASE, as_json: options.Json = False) -> None:
    """Show the incidents of the log, open ones first, the longest first.

    An incident lasts from a game's probe_failed to its probe_recovered. With
    --json, or where standard output is not a terminal: one object a line, with
    game_id, container_id, open, failed_at, recovered_at (null while open),
    duration_s, last_status and last_error.

    Example: [b]healthprobe incidents --log sqlite:healthprobe.db[/b]
    """
    from healthprobe.surfaces.reading import show_incidents

    show_incidents(log, as_json=as_json)
