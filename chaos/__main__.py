"""The command line of the proof by fault; run it from the root of the repository.

python -m chaos [--short] [--strokes N] [--seed N] [--only FAULT] [--write]
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shlex
import signal
import sys
from dataclasses import replace

from benchmarks.machine import facts

from chaos.faults import NAMES
from chaos.form import LONG, SHORT
from chaos.report import PAGE, page, report
from chaos.runner import run_faults


def main() -> None:
    arguments = _parser().parse_args()
    for ending in (signal.SIGTERM, signal.SIGHUP):
        # asyncio ends a Ctrl-C in order: every context exits.
        signal.signal(ending, lambda *_: signal.raise_signal(signal.SIGINT))
    form = SHORT if arguments.short else LONG
    form = form if arguments.strokes is None else replace(form, strokes=arguments.strokes)
    about = facts()
    try:
        rows = asyncio.run(run_faults(form, arguments.seed, arguments.only or NAMES, say))
    except KeyboardInterrupt:
        say("interrupted: nothing is left running, nothing was written")
        sys.exit(130)
    text = report(rows, form, seed=arguments.seed)
    print(text)
    if arguments.write:
        options = [part for part in sys.argv[1:] if part != "--write"]
        PAGE.write_text(page(shlex.join(["python", "-m", "chaos", *options]), about, text))
        say(f"written to {PAGE}")
    sys.exit(0 if all(row.holds for row in rows) else 1)


def say(sentence: str) -> None:
    """Prints progress to standard error."""
    print(sentence, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description="Proof by fault: no event is lost or doubled.")
    parser.add_argument("--short", action="store_true", help="few engines, each fault once or twice: two minutes")
    parser.add_argument("--strokes", type=int, help="inject most faults so often (12; 1 with --short)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="repeat the choices of a run")
    parser.add_argument("--only", choices=NAMES, action="append", help="inject this fault only; repeatable")
    parser.add_argument("--write", action="store_true", help=f"write the result to {PAGE} as well")
    return parser


if __name__ == "__main__":
    main()
