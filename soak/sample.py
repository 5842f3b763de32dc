"""A sample: what the process holds at one moment, by the kernel and by its own metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.processes import resident_memory
from prometheus_client.parser import text_string_to_metric_families

_METRICS = {
    "healthprobe_connections_open": "connections",
    "healthprobe_lanes_in_use": "lanes in use",
    "healthprobe_transitions_waiting": "transitions waiting",
    "healthprobe_open_incidents": "open incidents",
    "healthprobe_probes_total": "probes",
    "healthprobe_dropped_ticks_total": "dropped ticks",
    "healthprobe_health_events_total": "events",
    "healthprobe_games": "games",
}
_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Sample:
    """`at` is in minutes since the start; `held` has each quantity by its name, memory in MiB."""

    at: float
    held: Mapping[str, float]


def sampled(pid: int, listening: int, at: float) -> Sample:
    """Takes a sample of the process `pid`, which listens on this port of loopback. Raises OSError if it is gone."""
    metrics = _metrics(listening)
    process = Path(f"/proc/{pid}")
    held = {
        "memory (MiB)": resident_memory(pid) / 2**20,
        "descriptors": float(len([*(process / "fd").iterdir()])),
        "threads": float(len([*(process / "task").iterdir()])),
    }
    return Sample(at, held | metrics)


def _metrics(port: int) -> dict[str, float]:
    connection = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except HTTPException as error:
        raise OSError(f"/metrics is not answered: {error}") from error
    finally:
        connection.close()
    return parsed(text)


def parsed(exposition: str) -> dict[str, float]:
    """Returns the values of the metrics, all series of one metric added up."""
    values = dict.fromkeys(_METRICS.values(), 0.0)
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if sample.name in _METRICS:
                values[_METRICS[sample.name]] += sample.value
    return values


def log_size(path: Path) -> float:
    """Returns the size of the log on disk in MiB. It alone may grow."""
    return sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*")) / 2**20
