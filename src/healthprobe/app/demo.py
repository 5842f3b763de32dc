"""The demo: a dozen real engines on loopback, in a process of their own, under the service that `run` runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from healthprobe.app.console import audience_for
from healthprobe.app.editable_records import drop_records, put_records
from healthprobe.app.observability import load
from healthprobe.app.run import exit_cleanly_at_once, run_service
from healthprobe.app.settings import Settings
from healthprobe.domain.record import RuntimeRecord
from healthprobe.telemetry.logs import LogLevel
from healthprobe.testing.engines import OK, Behaviour, Script
from healthprobe.testing.fleet import FleetProcess

_STEADY = ("chess-3", "go-3", "hex-3", "ludo-1", "ludo-2", "ludo-3")


def run_demo(settings: Settings, *, duration: float | None, as_json: bool, log_level: LogLevel | None) -> None:
    """Watch the demo's engines until a signal, or for `duration` seconds.

    Where `settings` name no records or no log ("") these are temporary files, removed in the end; and in the end the
    engines are gone too.
    """
    exit_cleanly_at_once()
    load(settings)
    scripts = demo_scripts(beat=settings.interval, failures=settings.failures)
    introduction = f"{len(scripts)} engines crash, hang and recover"
    with TemporaryDirectory(prefix="healthprobe-demo-") as folder, FleetProcess(scripts) as fleet:
        database = f"sqlite:{Path(folder, 'demo.db')}"
        settings = replace(settings, records=settings.records or database, log=settings.log or database)
        put_records(settings.records, [RuntimeRecord(each, f"{each}-a", at) for each, at in fleet.endpoints.items()])
        # Not before: whoever edits records wants warnings alone to be logged, and there is one logger for all.
        audience = audience_for(as_json=as_json, log_level=log_level, introduction=introduction)
        try:
            run_service(settings, audience, duration=duration)
        finally:
            drop_records(settings.records, list(scripts))


def demo_scripts(beat: float, failures: int) -> dict[str, Script]:
    """What the engines do, by game id. A `beat` is the probe interval, in seconds.

    Everything is measured in beats and in the threshold, so that the same happens whatever both are: outages last for
    two beats more than the threshold needs, and the flapping engine never fails often enough to be told of.
    """
    enough = failures + 2
    flaps: Sequence[tuple[float, Behaviour]] = ((2, 503), (2 + failures - 1.5, OK)) if failures > 1 else ()
    troubles: Mapping[str, Sequence[tuple[float, Behaviour]]] = {
        "chess-1": ((1, "crash"), (1 + enough, OK)),
        "chess-2": ((3, 503), (3 + enough, OK)),
        "go-1": ((5, "hang"), (5 + enough, OK)),
        "go-2": ((7, "crash"), (7 + enough, 503), (9 + enough, OK)),
        "hex-1": flaps,
        "hex-2": ((10, "hang"), (10 + enough, "crash"), (11 + enough, OK)),
        **dict.fromkeys(_STEADY, ()),
    }
    period = 14 + enough
    return {
        game_id: Script(((0.0, OK), *((at * beat, behaviour) for at, behaviour in steps)), period=period * beat)
        for game_id, steps in troubles.items()
    }
