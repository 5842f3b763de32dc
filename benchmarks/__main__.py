"""The command line of the benchmarks; run it from the root of the repository.

python -m benchmarks [costs] [--contenders wrk,run,…] [--engines N] [--seconds S] [--write]
python -m benchmarks lateness [--engines N] [--dead N] [--ticks N] [--write]
python -m benchmarks mass-failure [--engines N] [--write]
python -m benchmarks listing [--games N] [--restarts N] [--ticks N] [--write]
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import signal
import sys

from benchmarks import costs, lateness, listing, mass_failure
from benchmarks.machine import facts
from benchmarks.measure import say
from benchmarks.page import PAGE, SECTIONS, preamble, write_section

_ROOM_FOR_OTHERS = 500
"""Descriptors that an engine's process, or a contender's, needs for other things than connections."""


def main() -> None:
    arguments = _parser().parse_args()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    engine_count = _as_many_as_fit(arguments.engines)
    opening = preamble(shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]), facts())
    try:
        report = _report(arguments, engine_count, opening)
    except KeyboardInterrupt:
        say("interrupted: nothing is left running, nothing was written")
        sys.exit(130)
    print(report)
    if arguments.write:
        write_section(arguments.what, report)
        say(f"written to {PAGE}")


def _report(arguments: argparse.Namespace, engine_count: int, opening: str) -> str:
    match arguments.what:
        case "lateness":
            watches = lateness.measured(engine_count=engine_count, dead_count=arguments.dead, ticks=arguments.ticks)
            return lateness.report(watches, opening)
        case "mass-failure":
            return mass_failure.report(mass_failure.measured(engine_count=engine_count), opening)
        case "listing":
            listed = listing.measured(games=arguments.games, restarts=arguments.restarts, ticks=arguments.ticks)
            return listing.report(listed, opening, games=arguments.games)
        case _:
            rows = costs.compared(arguments.contenders, engine_count=engine_count, seconds=arguments.seconds)
            return costs.report(rows, opening)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What a probe costs, side by side.")
    parser.add_argument("what", nargs="?", choices=SECTIONS, default="costs")
    parser.add_argument("--engines", type=_positive, default=10_000, help="how many engines (default 10000)")
    parser.add_argument("--write", action="store_true", help=f"write the result to {PAGE} as well")
    of_costs = parser.add_argument_group("costs")
    names = ",".join(costs.CONTENDERS)
    of_costs.add_argument(
        "--contenders", type=_contenders, default=list(costs.CONTENDERS), help=f"some of {names} (default: all)"
    )
    of_costs.add_argument("--seconds", type=float, default=15.0, help="how long each is measured (default 15)")
    of_lateness = parser.add_argument_group("lateness")
    of_lateness.add_argument("--dead", type=_positive, default=1_000, help="how many never answer (default 1000)")
    of_lateness.add_argument("--ticks", type=_positive, default=8, help="how many ticks are watched (default 8)")
    of_listing = parser.add_argument_group("listing")
    of_listing.add_argument("--games", type=_positive, default=100_000, help="how many games (default 100000)")
    of_listing.add_argument("--restarts", type=_positive, default=1_000, help="changed a listing (default 1000)")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number


def _contenders(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in costs.CONTENDERS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(costs.CONTENDERS)}")
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
