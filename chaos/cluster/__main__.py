"""The command line of the proof by fault for a cluster; run it from the root of the repository.

python -m chaos.cluster [--short] [--seed N] [--only FAULT] [--write]
python -m chaos.cluster takeover [--short] [--write]
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shlex
import signal
import sys
from pathlib import Path

from benchmarks.machine import facts
from benchmarks.page import preamble, write_section

from chaos.__main__ import say
from chaos.cluster import form, takeover
from chaos.cluster.faults import NAMES
from chaos.cluster.performance import run_faults
from chaos.cluster.report import report

PAGE = Path("docs/chaos_cluster.md")
SECTIONS = ("faults", "takeover")

_OPENING = """\
# Proof by fault: a cluster

Instances of the whole program, real NATS servers, faults injected into both. Each section below was written by the
command that it shows, with `--write`.
"""


def main() -> None:
    arguments = _parser().parse_args()
    for ending in (signal.SIGTERM, signal.SIGHUP):
        # asyncio handles SIGINT by cancelling: every context is left.
        signal.signal(ending, lambda *_: signal.raise_signal(signal.SIGINT))
    about = facts()
    try:
        text, holds = asyncio.run(_shown(arguments))
    except KeyboardInterrupt:
        say("interrupted: nothing is left running, nothing was written")
        sys.exit(130)
    print(text)
    if arguments.write:
        options = [part for part in sys.argv[1:] if part != "--write"]
        section = f"{preamble(shlex.join(['python', '-m', 'chaos.cluster', *options]), about)}\n\n{text}"
        write_section(arguments.what, section, PAGE, opening=_OPENING, sections=SECTIONS)
        say(f"written to {PAGE}")
    sys.exit(0 if holds else 1)


async def _shown(arguments: argparse.Namespace) -> tuple[str, bool]:
    """Returns the report, and whether it holds."""
    if arguments.what == "takeover":
        measured = await takeover.measured(takeover.SHORT if arguments.short else takeover.LONG, say)
        return takeover.report(measured), measured.holds
    of_run = form.SHORT if arguments.short else form.LONG
    proof = await run_faults(of_run, arguments.seed, arguments.only or NAMES, say)
    return report(proof, of_run, seed=arguments.seed), proof.holds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos.cluster", description="Proof by fault for a cluster.")
    parser.add_argument(
        "what",
        nargs="?",
        choices=SECTIONS,
        default="faults",
        help="the log against an oracle, or the time until takeover",
    )
    parser.add_argument("--short", action="store_true", help="fewer engines, each fault once: half a minute")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="repeat a run's random choices")
    parser.add_argument("--only", choices=NAMES, action="append", help="this fault; may be given several times")
    parser.add_argument("--write", action="store_true", help=f"write the result to {PAGE} as well")
    return parser


if __name__ == "__main__":
    main()
