"""The command line of the soak; run it from the root of the repository.

python -m soak [--minutes N] [--engines N] [--seed N] [--short] [--samples FILE]
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from soak.form import SHORT, Form
from soak.report import judged
from soak.running import Course, soaked


def main() -> None:
    """Runs a soak. Exits with 1 if anything grows, or if the program did too little work."""
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    form = _form(arguments)
    try:
        with TemporaryDirectory(prefix="soak-") as workspace:
            course = soaked(form, Path(workspace), say)
    except KeyboardInterrupt:
        say("interrupted: nothing is left running")
        sys.exit(130)
    if arguments.samples:
        arguments.samples.write_text(_as_lines(course))
    text, holds = judged(course, form)
    print(text)
    sys.exit(0 if holds else 1)


def say(sentence: str) -> None:
    """Prints progress to standard error."""
    print(sentence, file=sys.stderr, flush=True)


def _form(arguments: argparse.Namespace) -> Form:
    form = replace(SHORT if arguments.short else Form(), seed=arguments.seed)
    given = {"minutes": arguments.minutes, "engines": arguments.engines}
    try:
        return replace(form, **{name: value for name, value in given.items() if value is not None})
    except ValueError as error:
        say(str(error))
        sys.exit(2)


def _as_lines(course: Course) -> str:
    return "".join(json.dumps({"minute": sample.at, **sample.held}) + "\n" for sample in course.samples)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m soak", description="A long run under faults: nothing may grow.")
    parser.add_argument("--minutes", type=float, help=f"how long; {Form().minutes:g} by default")
    parser.add_argument("--engines", type=int, help=f"how many; {Form().engines:,} by default")
    parser.add_argument("--short", action="store_true", help="half a minute over a few hundred engines")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="repeat the faults of a run")
    parser.add_argument("--samples", type=Path, metavar="FILE", help="write all samples to a file, one JSON line each")
    return parser


if __name__ == "__main__":
    main()
