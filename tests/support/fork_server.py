"""Forks the program from a process that has imported it: imports are most of what a start costs.

Run as `python fork_server.py FD`. A message on the socket FD is a request: standard input, output and error, a pipe for
the process id and the exit status of the new process, and a document with arguments, folder and environment.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import random
import runpy
import signal
import socket
import struct
import sys
import threading
import time
from importlib import import_module
from typing import Any, TextIO

IMPORTED = (
    "healthprobe.adapters.file",
    "healthprobe.adapters.http",
    "healthprobe.adapters.nats",
    "healthprobe.adapters.redis",
    "healthprobe.adapters.sql",
    "healthprobe.app.delivery",
    "healthprobe.app.retention",
    "healthprobe.app.run",
    "healthprobe.cli.cluster",
    "healthprobe.cli.demo",
    "healthprobe.cli.events",
    "healthprobe.cli.main",
    "healthprobe.cli.run",
    "healthprobe.probing.prober",
    "healthprobe.web.server",
    "healthprobe.worker.worker",
)
"""What most commands import. None of it may start a thread or read the environment."""


def main() -> None:
    requests = socket.socket(fileno=int(sys.argv[1]))
    for name in IMPORTED:
        import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the watchers
    while True:
        message, fds, _, _ = socket.recv_fds(requests, 1 << 20, 4)
        if not message:
            return
        if os.fork() == 0:
            requests.close()
            if _is_program(fds.pop()):
                _become(json.loads(message), fds)
                _run()
            os._exit(0)
        for fd in fds:
            os.close(fd)


def _is_program(pipe: int) -> bool:
    """Forks once more. Returns True in the process of the program; in its parent False, after the program's end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if (child := os.fork()) == 0:
        os.close(pipe)
        return True
    os.closerange(0, 3)
    os.write(pipe, struct.pack("i", child))
    os.write(pipe, struct.pack("i", os.waitpid(child, 0)[1]))
    return False


def _become(request: dict[str, Any], fds: list[int]) -> None:
    """Gives this process what the interpreter of a new one would find at its start."""
    if request["new_session"]:
        os.setsid()
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    random.seed()
    sys.argv = ["healthprobe", *request["arguments"]]
    replaced: Any = sys
    replaced.stdin = replaced.__stdin__ = _opened(0, "r", sys.stdin)
    replaced.stdout = replaced.__stdout__ = _opened(1, "w", sys.stdout, buffering=1 if os.isatty(1) else -1)
    replaced.stderr = replaced.__stderr__ = _opened(2, "w", sys.stderr, buffering=1)


def _run() -> None:
    """Runs the program to its end. What it imported is not taken apart: that would copy all of the memory."""
    try:
        runpy.run_module("healthprobe", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        ending: Any = threading
        ending._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(ended.code or 0))


def _opened(number: int, mode: str, like: TextIO, buffering: int = -1) -> Any:
    return open(number, mode, buffering, encoding=like.encoding, errors=like.errors, closefd=False)


if __name__ == "__main__":
    main()
