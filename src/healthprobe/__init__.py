"""Watches game engines: probes each of them, and writes every failure and every recovery once to a durable log.

What is public is in `__all__`; docs/library.md shows its use. A name is imported when it is first used, so that
`import healthprobe` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from healthprobe._util.version import __version__
    from healthprobe.adapters.memory import InMemoryLog, InMemoryRecords
    from healthprobe.domain.endpoint import Endpoint
    from healthprobe.domain.event import (
        AlteredEvent,
        EventType,
        HealthEvent,
        ProbeEndedDetails,
        ProbeFailedDetails,
        ProbeRecoveredDetails,
    )
    from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind, Healthy, Inconclusive, ProbeOutcome
    from healthprobe.domain.policy import FlapRule, Policy
    from healthprobe.domain.probe.probe_settings import Expectation, ProbeKind, ProbeSettings, TlsSettings
    from healthprobe.domain.record import RuntimeRecord
    from healthprobe.domain.schedule import AutoLanes
    from healthprobe.domain.target import ProbeTarget
    from healthprobe.ports import (
        ConfigurationError,
        ConnectionKeeper,
        DeadLetter,
        DeadLetterLog,
        HealthEventLog,
        HealthEventPublisher,
        HealthprobeError,
        LogEntry,
        LogError,
        PartialRecords,
        Prober,
        PublisherClosed,
        PublishError,
        RelayLog,
        RuntimeRecordStore,
        ShardLeases,
        StoreError,
        Telemetry,
        WatchedRecords,
        WorkerLog,
    )
    from healthprobe.probing.http import HTTPProber
    from healthprobe.worker.config import WorkerConfig
    from healthprobe.worker.relay import Relay
    from healthprobe.worker.safe_telemetry import NullTelemetry
    from healthprobe.worker.worker import Worker

__all__ = [
    "HEALTHY",
    "AlteredEvent",
    "AutoLanes",
    "ConfigurationError",
    "ConnectionKeeper",
    "DeadLetter",
    "DeadLetterLog",
    "Endpoint",
    "EventType",
    "Expectation",
    "Failed",
    "FailureKind",
    "FlapRule",
    "HTTPProber",
    "HealthEvent",
    "HealthEventLog",
    "HealthEventPublisher",
    "HealthprobeError",
    "Healthy",
    "InMemoryLog",
    "InMemoryRecords",
    "Inconclusive",
    "LogEntry",
    "LogError",
    "NullTelemetry",
    "PartialRecords",
    "Policy",
    "ProbeEndedDetails",
    "ProbeFailedDetails",
    "ProbeKind",
    "ProbeOutcome",
    "ProbeRecoveredDetails",
    "ProbeSettings",
    "ProbeTarget",
    "Prober",
    "PublishError",
    "PublisherClosed",
    "Relay",
    "RelayLog",
    "RuntimeRecord",
    "RuntimeRecordStore",
    "ShardLeases",
    "StoreError",
    "Telemetry",
    "TlsSettings",
    "WatchedRecords",
    "Worker",
    "WorkerConfig",
    "WorkerLog",
    "__version__",
]

_HOMES = {
    "_util.version": {"__version__"},
    "adapters.memory": {"InMemoryLog", "InMemoryRecords"},
    "domain.endpoint": {"Endpoint"},
    "domain.event": {
        "AlteredEvent",
        "EventType",
        "HealthEvent",
        "ProbeEndedDetails",
        "ProbeFailedDetails",
        "ProbeRecoveredDetails",
    },
    "domain.outcome": {"HEALTHY", "Failed", "FailureKind", "Healthy", "Inconclusive", "ProbeOutcome"},
    "domain.policy": {"FlapRule", "Policy"},
    "domain.probe.probe_settings": {"Expectation", "ProbeKind", "ProbeSettings", "TlsSettings"},
    "domain.record": {"RuntimeRecord"},
    "domain.schedule": {"AutoLanes"},
    "domain.target": {"ProbeTarget"},
    "probing.http": {"HTTPProber"},
    "worker.config": {"WorkerConfig"},
    "worker.relay": {"Relay"},
    "worker.safe_telemetry": {"NullTelemetry"},
    "worker.worker": {"Worker"},
}
"""The modules of the public names. A name that is in none of them is in `ports`."""


if not TYPE_CHECKING:  # or a type checker would take any name for a public one

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = next((module for module, names in _HOMES.items() if name in names), "ports")
        value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
