"""A machine of a test's own: namespaces with a network of their own and the test's files in /etc.

    python -m tests.probing.names.own_machine LOOP MODULE:FUNCTION < {"/etc/hosts": "…"}

runs a coroutine function there and prints what it returns as JSON. The machine ends with it.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop

LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}
ROOT = Path(__file__).parents[3]
NAMESPACES = ["unshare", "--map-root-user", "--mount", "--net", "--kill-child", "--fork"]
LONGEST = 60.0

Scenario = Callable[[], Coroutine[Any, Any, Any]]


def run_on_own_machine(scenario: Scenario, files: Mapping[str, str] | None = None, *, loop: str = "uvloop") -> Any:
    """Returns what `scenario` returns on a machine whose `files` have these contents. Skips where none can be made."""
    skip_without("mount", "ip")
    made = subprocess.run(
        [
            *NAMESPACES,
            sys.executable,
            "-m",
            "tests.probing.names.own_machine",
            loop,
            f"{scenario.__module__}:{scenario.__name__}",
        ],
        input=json.dumps(files or {}),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=LONGEST,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def skip_without(*tools: str) -> None:
    """Skips a test where namespaces cannot be made, or a tool is missing."""
    if any(shutil.which(tool) is None for tool in ("unshare", *tools)):
        pytest.skip(f"needs unshare, {' and '.join(tools)}")
    if subprocess.run([*NAMESPACES, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no namespaces can be made here")


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


def write_file(path: str, content: str) -> None:
    """Replaces the content of one of this machine's own files."""
    assert f" {path} " in Path("/proc/self/mounts").read_text(), f"{path} is not this machine's own"
    Path(path).write_text(content)


def _mount(files: Mapping[str, str], folder: Path) -> None:
    for path, content in files.items():
        if Path(path).exists():
            ours = folder / Path(path).name
            ours.write_text(content)
            subprocess.run(["mount", "--bind", str(ours), path], check=True)


def main() -> None:
    loop, name = sys.argv[1:]
    module, _, function = name.partition(":")
    with tempfile.TemporaryDirectory() as folder:  # what is mounted outlives it
        _mount(json.load(sys.stdin), Path(folder))
    ip("link set lo up")
    os.environ.pop("LOCALDOMAIN", None)
    os.environ.pop("RES_OPTIONS", None)
    scenario = getattr(importlib.import_module(module), function)
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        sys.stdout.write(json.dumps(runner.run(scenario())))


if __name__ == "__main__":
    main()
