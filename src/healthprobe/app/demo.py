"""The demo: a run over a dozen real engines on loopback, in a process of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from healthprobe.app.console import run_console
from healthprobe.app.editable_records import drop_records, put_records
from healthprobe.app.run import exit_cleanly_at_once, run_service
from healthprobe.app.settings import Settings
from healthprobe.domain.record import RuntimeRecord
from healthprobe.telemetry.logs import LogLevel
from healthprobe.testing.engines import OK, Behaviour, Script
from healthprobe.testing.fleet import FleetProcess

_STEADY = ("chess-3", "go-3", "hex-3", "ludo-1", "ludo-2", "ludo-3")


def run_demo(settings: Settings, *, duration: float | None, as_json: bool, log_level: LogLevel | None) -> None:
    """Runs the demo until a signal, or for `duration` seconds.

    Empty `records` and `log` in the settings are temporary files. Removes the files and the engines at the end.
    """
    exit_cleanly_at_once()
    scripts = demo_scripts(beat=settings.interval, failures=settings.failures)
    introduction = f"{len(scripts)} engines crash, hang and recover"
    with TemporaryDirectory(prefix="healthprobe-demo-") as folder, FleetProcess(scripts) as fleet:
        database = f"sqlite:{Path(folder, 'demo.db')}"
        settings = replace(settings, records=settings.records or database, log=settings.log or database)
        put_records(settings.records, [RuntimeRecord(each, f"{each}-a", at) for each, at in fleet.endpoints.items()])
        # Not earlier: put_records sets the log level of the one logger to warning.
        console = run_console(as_json=as_json, log_level=log_level, introduction=introduction)
        try:
            run_service(settings, console, duration=duration)
        finally:
            drop_records(settings.records, list(scripts))


def demo_scripts(beat: float, failures: int) -> dict[str, Script]:
    """Returns the scripts of the engines by game id. A `beat` is the probe interval, in seconds.

    All times are in beats and in the threshold, so that the demo is the same for all settings: an outage lasts two
    beats more than the threshold, and the flapping engine never fails often enough for a probe_failed.
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
