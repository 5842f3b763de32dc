"""The command line of the fuzzer; run it from the root of the repository.

python -m fuzz [--inputs N] [--seed N] [--only TARGET] [--write-input FILE]
"""

from __future__ import annotations

import argparse
import faulthandler
import secrets
import sys
from pathlib import Path

from fuzz.campaign import campaign, portions
from fuzz.report import report
from fuzz.targets import TARGETS

LONG = 1_000_000
SHORT = 20_000

_LEAST_SECONDS = 120.0


def main() -> None:
    """Runs a campaign. Exits with 1 if it found anything."""
    arguments = _parser().parse_args()
    targets = [target for target in TARGETS if not arguments.only or target.name in arguments.only]
    total = SHORT if arguments.short else arguments.inputs
    say(f"{total:,} inputs, seed {arguments.seed}")
    # C code that never returns cannot be interrupted: then this ends the process and prints where it was.
    seconds = [target.seconds * inputs for target, inputs in zip(targets, portions(targets, total), strict=True)]
    faulthandler.dump_traceback_later(_LEAST_SECONDS + sum(seconds), exit=True)
    results = campaign(targets, total, arguments.seed, say)
    faulthandler.cancel_dump_traceback_later()
    print(report(results, arguments.seed))
    findings = [each.finding for each in results if each.finding is not None]
    if findings and arguments.write_input:
        arguments.write_input.write_text(findings[0].literal)
    sys.exit(1 if findings else 0)


def say(sentence: str) -> None:
    """Prints progress to standard error."""
    print(sentence, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Feeds broken inputs to every parser.")
    names = [target.name for target in TARGETS]
    parser.add_argument("--inputs", type=int, default=LONG, help="how many in all; a million by default")
    parser.add_argument("--short", action="store_true", help=f"{SHORT:,} inputs")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="repeat the inputs of a run")
    parser.add_argument("--only", choices=names, action="append", help="fuzz this target only; repeatable")
    parser.add_argument("--write-input", type=Path, metavar="FILE", help="write the first input found, in full")
    return parser


if __name__ == "__main__":
    main()
