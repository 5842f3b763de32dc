"""The command line of the benchmarks; run it from the root of the repository.

python -m benchmarks [costs] [--contenders wrk,run,…] [--engines N] [--seconds S] [--write]
python -m benchmarks caution [--engines N] [--seconds S] [--rounds N] [--write]
python -m benchmarks alerts [--engines N] [--seconds S] [--rounds N] [--write]
python -m benchmarks detection [--kills N] [--write]
python -m benchmarks lateness [--engines N] [--dead N] [--ticks N] [--write]
python -m benchmarks mass-failure [--engines N] [--write]
python -m benchmarks listing [--games N] [--restarts N] [--ticks N] [--write]
python -m benchmarks cluster [--engines N] [--seconds S] [--rounds N] [--write]
python -m benchmarks seeing [--engines N] [--games N] [--seconds S] [--rounds N] [--write]
python -m benchmarks units [--only probe,game,shard,event,list] [--engines N] [--write]
python -m benchmarks simulation [--games N] [--instances N] [--interval S] [--write]
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import signal
import sys
from collections.abc import Collection

from benchmarks import alerts, caution, costs, detection, lateness, listing, mass_failure, seeing
from benchmarks.machine import facts
from benchmarks.measure import say
from benchmarks.page import SECTIONS, page_of, preamble, write_section, write_table
from benchmarks.processes import ChildFailed
from benchmarks.scale import cluster_cost, forecast, simulated, simulation, unit_costs

_ROOM_FOR_OTHERS = 500
"""Descriptors that an engine's process, or a contender's, needs for other things than connections."""

_WHAT = (*SECTIONS, "cluster", "units", "simulation")
_GAMES = {"listing": 100_000, "seeing": 100_000, "simulation": 1_000_000}


def main() -> None:
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.write and arguments.only is not unit_costs.GROUPS:
        parser.error("--write: the page has all unit costs; leave --only out")
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    engine_count = _as_many_as_fit(arguments.engines)
    opening = preamble(shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]), facts())
    try:
        sections = _sections(arguments, engine_count, opening)
    except ChildFailed as failed:
        sys.exit(f"nothing was written: {failed}")
    except KeyboardInterrupt:
        say("interrupted: nothing is left running, nothing was written")
        sys.exit(130)
    print("\n\n".join(sections.values()))
    if arguments.write:
        for name, text in sections.items():
            (write_section if name in SECTIONS else write_table)(name, text)
            say(f"written to {page_of(name)}")


def _sections(arguments: argparse.Namespace, engine_count: int, opening: str) -> dict[str, str]:
    """What was asked for, by the names of the sections that it fills."""
    match arguments.what:
        case "units":
            costs = unit_costs.measured(arguments.only, engine_count=engine_count)
            section = {"units": unit_costs.report(costs, opening)}
            units = forecast.Units.of(costs)
            return section if units is None else {**section, "forecast": forecast.report(units)}
        case "simulation":
            course = simulated.Course(_games(arguments), arguments.instances, arguments.interval)
            return {"simulation": simulated.report(simulation.measured(course), opening)}
        case "cluster":
            pairs = cluster_cost.pairs_measured(
                engine_count=engine_count, seconds=arguments.seconds, rounds=arguments.rounds
            )
            return {"cluster": cluster_cost.report(pairs, opening)}
        case what:
            return {what: _report(arguments, engine_count, opening)}


def _report(arguments: argparse.Namespace, engine_count: int, opening: str) -> str:
    seconds, rounds = arguments.seconds, arguments.rounds
    match arguments.what:
        case "lateness":
            watches = lateness.measured(engine_count=engine_count, dead_count=arguments.dead, ticks=arguments.ticks)
            section = lateness.report(watches, opening)
        case "mass-failure":
            section = mass_failure.report(mass_failure.measured(engine_count=engine_count), opening)
        case "listing":
            games = _games(arguments)
            listed = listing.measured(games=games, restarts=arguments.restarts, ticks=arguments.ticks)
            section = listing.report(listed, opening, games=games)
        case "caution":
            pairs = caution.pairs_measured(engine_count=engine_count, seconds=seconds, rounds=rounds)
            section = caution.report(pairs, opening)
        case "alerts":
            found_pairs = alerts.pairs_measured(engine_count=engine_count, seconds=seconds, rounds=rounds)
            section = alerts.report(found_pairs, opening)
        case "detection":
            section = detection.report(detection.measured(kills=arguments.kills), opening)
        case "seeing":
            games = _games(arguments)
            found = seeing.seen(engine_count=engine_count, games=games, seconds=seconds, rounds=rounds)
            section = seeing.report(found, opening)
        case _:
            rows = costs.compared(arguments.contenders, engine_count=engine_count, seconds=seconds)
            section = costs.report(rows, opening)
    return section


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What a probe costs, side by side.")
    parser.add_argument("what", nargs="?", choices=_WHAT, default="costs")
    parser.add_argument("--engines", type=_positive, default=10_000, help="how many engines (default 10000)")
    parser.add_argument("--write", action="store_true", help="write the result to its page in docs/ as well")
    of_costs = parser.add_argument_group("costs, cluster")
    names = ",".join(costs.CONTENDERS)
    of_costs.add_argument(
        "--contenders", type=_contenders, default=list(costs.CONTENDERS), help=f"some of {names} (default: all)"
    )
    of_costs.add_argument("--seconds", type=float, default=15.0, help="how long each is measured (default 15)")
    of_lateness = parser.add_argument_group("lateness")
    of_lateness.add_argument("--dead", type=_positive, default=1_000, help="how many never answer (default 1000)")
    of_lateness.add_argument("--ticks", type=_positive, default=8, help="how many ticks are watched (default 8)")
    of_detection = parser.add_argument_group("detection")
    of_detection.add_argument("--kills", type=_positive, default=200, help="how many engines die (default 200)")
    of_listing = parser.add_argument_group("listing, simulation")
    of_listing.add_argument("--games", type=_positive, help="how many games (default 100000; simulation: 1000000)")
    of_listing.add_argument("--restarts", type=_positive, default=1_000, help="changed a listing (default 1000)")
    of_scale = parser.add_argument_group("cluster, caution, alerts, seeing, units, simulation")
    of_scale.add_argument("--rounds", type=_positive, default=5, help="pairs that are measured (default 5)")
    groups = ",".join(unit_costs.GROUPS)
    of_scale.add_argument("--only", type=_groups, default=unit_costs.GROUPS, help=f"some of {groups} (default: all)")
    of_scale.add_argument("--instances", type=_positive, default=4, help="that share the games (default 4)")
    of_scale.add_argument("--interval", type=float, default=60.0, help="from probe to probe, in s (default 60)")
    return parser


def _games(arguments: argparse.Namespace) -> int:
    return int(arguments.games or _GAMES[arguments.what])


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number


def _contenders(text: str) -> list[str]:
    return _some_of(costs.CONTENDERS, text)


def _groups(text: str) -> list[str]:
    return _some_of(unit_costs.GROUPS, text)


def _some_of(known: Collection[str], text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
    return names


def _as_many_as_fit(wanted: int) -> int:
    """As many engines as this process may have files open, and so may each child: each side holds a connection each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY or wanted <= hard - _ROOM_FOR_OTHERS:
        return wanted
    fitting = max(hard - _ROOM_FOR_OTHERS, 1)
    say(f"{fitting:,} engines instead of {wanted:,}: the limit of open files is {hard:,} (ulimit -Hn)")
    return fitting


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
