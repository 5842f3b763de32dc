"""Three NATS nodes with the shipped configuration, each at a loopback address of its own, on the file's ports."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

from tests.servers.nats import _program as nats_server
from tests.servers.ports import free_port
from tests.servers.redis import end_with_parent

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nats" / "nats-server.conf"
PASSWORD = "pw0of0healthprobe"
ROUTE_PASSWORD = "pw0of0routes"

_NODES = ("n1", "n2", "n3")
_TIMEOUT = 60.0


class ShippedNats:
    """A context manager that runs the cluster, with its data in `folder`, which it leaves there.

    `configuration` is the shipped file or a variant of it; `environment` has the variables that a variant reads in
    addition. The cluster is healthy once `wait_until_healthy` returns.
    """

    def __init__(
        self, folder: Path, *, configuration: Path = CONFIGURATION, environment: Mapping[str, str] | None = None
    ) -> None:
        network = f"127.{random.randrange(10, 250)}.{random.randrange(250)}"
        self.hosts = [f"{network}.{number}" for number, _ in enumerate(_NODES, 1)]
        self.monitors = [free_port() for _ in _NODES]
        self._folder = folder
        self._configuration = configuration
        self._environment = environment or {}
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            for number in range(len(_NODES)):
                self._start(number)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def url(self, rest: str = "", *, scheme: str = "nats", password: str = PASSWORD) -> str:
        """Returns the URL of the cluster, with all its nodes."""
        return f"{scheme}://healthprobe:{password}@{','.join(f'{host}:4222' for host in self.hosts)}{rest}"

    def monitoring(self, node: int, path: str) -> Any:
        """Returns a monitoring page of a node, counted from 0. Raises OSError."""
        with urlopen(f"http://127.0.0.1:{self.monitors[node]}{path}", timeout=1.0) as answer:
            return json.load(answer)

    def logged(self) -> str:
        """Returns the log lines of all nodes."""
        return "".join((self._folder / name / "log").read_text(errors="replace") for name in _NODES)

    def wait_until_healthy(self) -> None:
        """Waits until every node says that it is healthy."""
        deadline = time.monotonic() + _TIMEOUT
        while not all(map(self._is_healthy, range(len(_NODES)))):
            if time.monotonic() > deadline or any(process.poll() is not None for process in self._processes):
                raise RuntimeError(f"NATS does not start: {self.logged()[-800:]}")
            time.sleep(0.02)

    def _start(self, number: int) -> None:
        store = self._folder / _NODES[number]
        store.mkdir(parents=True, exist_ok=True)
        routes = ", ".join(f"nats://route:{ROUTE_PASSWORD}@{host}:6222" for host in self.hosts)
        with (store / "log").open("ab") as log:
            process = subprocess.Popen(
                [nats_server(), "--config", str(self._configuration), "--http_port", str(self.monitors[number])],
                env={
                    "NATS_NODE": _NODES[number],
                    "NATS_HOST": self.hosts[number],
                    "NATS_STORE": str(store),
                    "NATS_ROUTES": f"[{routes}]",
                    "NATS_PASSWORD": PASSWORD,
                    "NATS_ROUTE_PASSWORD": ROUTE_PASSWORD,
                    **self._environment,
                },
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  one call, no lock
            )
        self._processes.append(process)

    def _is_healthy(self, node: int) -> bool:
        try:
            return bool(self.monitoring(node, "/healthz")["status"] == "ok")
        except (OSError, ValueError):
            return False
