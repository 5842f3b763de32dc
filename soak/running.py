"""Runs a soak: starts engines and program, edits the fleet, takes samples."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.processes import Child, ChildFailed, cpu_time, running
from tests.servers.ports import free_port
from tests.support.program import PROGRAM

from soak.fleet import Fleet
from soak.form import Form
from soak.sample import Sample, log_size, sampled

INTERVAL = "1s"
TIMEOUT = "500ms"

_BEGUN = "health probe worker started"

Say = Callable[[str], None]


@dataclass(slots=True)
class Course:
    """The data of a soak: samples, replaced games, seconds of CPU, and the log's size on disk in MiB."""

    samples: list[Sample] = field(default_factory=list)
    replaced: int = 0
    cpu: float = 0.0
    log: float = 0.0
    fault: str = ""
    """Why it ended early, or empty."""


def soaked(form: Form, workspace: Path, say: Say) -> Course:
    """Runs one soak. An early end is a `fault` in the result, not an exception."""
    port, closed, listening = free_port("0.0.0.0"), free_port("0.0.0.0"), free_port()
    fleet = Fleet(workspace / "games.json", port, closed, form.engines, form.seed)
    engines = [sys.executable, "-m", "soak.engines", str(port), f"--faulty={form.faulty}", f"--seed={form.seed}"]
    program = [*PROGRAM, "run", f"--records=file:{workspace / 'games.json'}", f"--log=sqlite:{workspace / 'log.db'}"]
    program += [f"--interval={INTERVAL}", f"--timeout={TIMEOUT}", "--failures=3", "--publish=stdout:"]
    program += [f"--listen=127.0.0.1:{listening}"]
    course = Course()
    engines_at, program_at = workspace / "engines", workspace / "program"
    for folder in (engines_at, program_at):
        folder.mkdir()
    try:
        with running(engines, engines_at, talking=True), running(program, program_at) as child:
            child.wait_until(lambda: _BEGUN in child.output)
            for sentence in _watch(form, fleet, child, course, partial(sampled, child.pid, listening)):
                say(sentence)
            course.cpu = cpu_time(child.pid).total
    except (ChildFailed, OSError) as error:
        course.fault = str(error)
    course.replaced = fleet.replaced
    course.log = log_size(workspace / "log.db")
    return course


def _watch(form: Form, fleet: Fleet, child: Child, course: Course, sample: Callable[[float], Sample]) -> Iterator[str]:
    """Edits the fleet and takes samples until the end. Yields a line of progress every minute."""
    began = time.monotonic()
    sample_at, edit_at, minute = 0.0, form.edit_seconds, 0
    while (elapsed := time.monotonic() - began) < form.minutes * 60:
        child.require_alive()
        if elapsed >= edit_at:
            fleet.replace(form.replaced_per_minute * form.edit_seconds / 60)
            edit_at += form.edit_seconds
        if elapsed >= sample_at:
            course.samples.append(sample(elapsed / 60))
            sample_at += form.sample_seconds
        if elapsed / 60 >= minute:
            held = course.samples[-1].held
            yield f"minute {minute}: " + ", ".join(f"{name} {value:,.0f}" for name, value in held.items())
            minute += 1
        time.sleep(max(min(sample_at, edit_at) - (time.monotonic() - began), 0.0))
