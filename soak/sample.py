"""The sample: what the process holds at one moment, as the kernel tells it and as it tells itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.processes import resident_memory
from prometheus_client.parser import text_string_to_metric_families

_TOLD = {
    "healthprobe_connections_open": "connections",
    "healthprobe_lanes_in_use": "lanes in use",
    "healthprobe_transitions_waiting": "transitions waiting",
    "healthprobe_open_incidents": "open incidents",
    "healthprobe_probes_total": "probes",
    "healthprobe_dropped_ticks_total": "dropped ticks",
    "healthprobe_health_events_total": "events",
    "healthprobe_games": "games",
}
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Sample:
    """`at` is in minutes since the start; `held` tells each quantity by its name, memory in MiB."""

    at: float
    held: Mapping[str, float]


def sampled(pid: int, listening: int, at: float) -> Sample:
    """A sample of the process `pid`, which listens on this port of loopback. Raises OSError where it is gone."""
    told = _metrics(listening)
    told_of = Path(f"/proc/{pid}")
    held = {
        "memory (MiB)": resident_memory(pid) / 2**20,
        "descriptors": float(len([*(told_of / "fd").iterdir()])),
        "threads": float(len([*(told_of / "task").iterdir()])),
    }
    return Sample(at, held | told)


def _metrics(port: int) -> dict[str, float]:
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except HTTPException as error:
        raise OSError(f"/metrics is not answered: {error}") from error
    finally:
        connection.close()
    return told_by(text)


def told_by(exposition: str) -> dict[str, float]:
    """What metrics tell, all series of one metric added up."""
    told = dict.fromkeys(_TOLD.values(), 0.0)
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if sample.name in _TOLD:
                told[_TOLD[sample.name]] += sample.value
    return told


def log_size(path: Path) -> float:
    """How large the log on the disk has become, in MiB: the one thing that may grow."""
    return sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*")) / 2**20
