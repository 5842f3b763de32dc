"""Real NATS servers with JetStream from a wheel, on loopback: one, or a cluster; they can be killed and paused."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

from tests.servers.ports import free_port
from tests.servers.redis import end_with_parent

_PATIENCE = 60.0
_MORE = "# reloaded\n"


class NatsServer:
    """One server, alone or as a node of a cluster, with its own data folder."""

    def __init__(
        self, *, name: str = "n1", route: int = 0, routes: Sequence[int] = (), sync: str = "2m", more: str = ""
    ) -> None:
        self.name = name
        self.port = free_port()
        self.monitor = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="healthprobe-nats-"))
        self._process: subprocess.Popen[bytes] | None = None
        cluster = ""
        if routes:
            # Most tests need clients that know only the nodes of their URL, so that a proxy can be put between.
            silent = "false" if more else "true"
            addresses = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
            listens = f'name: test, listen: "127.0.0.1:{route}"'
            cluster = f"cluster {{ {listens}, routes: [{addresses}], no_advertise: {silent} }}\n"
        (self.folder / "server.conf").write_text(
            f'server_name: {name}\nlisten: "127.0.0.1:{self.port}"\nhttp: "127.0.0.1:{self.monitor}"\n{cluster}'
            f'jetstream {{ store_dir: "{self.folder}/data", sync_interval: {sync} }}\n{more}\n'
        )

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, rest: str = "", *, port: int | None = None) -> str:
        """Returns the server's URL, with a suffix after the host. `port` may be a proxy's."""
        return f"nats://127.0.0.1:{port or self.port}{rest}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, wait: bool = True) -> None:
        """Starts the server, on the same port and data as before, and waits until it is healthy."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program(), "--config", str(self.folder / "server.conf")],
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  one call, no lock
            )
        if wait:
            self.wait_until_healthy()

    def wait_until_healthy(self) -> None:
        """Waits until JetStream is ready, in a cluster with a leader."""
        deadline = time.monotonic() + _PATIENCE
        while not self.is_healthy():
            assert self._process is not None
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"NATS does not start: {(self.folder / 'log').read_text(errors='replace')[-800:]}")
            time.sleep(0.02)

    def is_healthy(self) -> bool:
        try:
            return bool(self.monitoring("/healthz")["status"] == "ok")
        except (OSError, ValueError):
            return False

    def monitoring(self, path: str) -> Any:
        """Returns a monitoring page of the server. Raises OSError."""
        with urlopen(f"http://127.0.0.1:{self.monitor}{path}", timeout=1.0) as answer:
            return json.load(answer)

    def reload(self, more: str) -> None:
        """Sends SIGHUP, with `more` in the configuration instead of the text of an earlier call."""
        config = self.folder / "server.conf"
        config.write_text(f"{config.read_text().partition(_MORE)[0]}{_MORE}{more}\n")
        self._signal(signal.SIGHUP)

    def stop(self) -> None:
        """Stops the server in order, as an administrator does."""
        self._signal(signal.SIGTERM)
        assert self._process is not None
        self._process.wait(_PATIENCE)

    def kill(self) -> None:
        """Sends SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Sends SIGSTOP: connections stay open without a response."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Sends SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class NatsCluster:
    """Three servers that replicate."""

    def __init__(self, *, nodes: int = 3, sync: str = "2m", more: str = "") -> None:
        """Starts the nodes with `more` in their configuration. Then each also advertises the others to clients."""
        routes = [free_port() for _ in range(nodes)]
        self.nodes = [
            NatsServer(name=f"n{number}", route=route, routes=routes, sync=sync, more=more)
            for number, route in enumerate(routes, 1)
        ]

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.start(wait=False)
            self.wait_until_whole()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.__exit__()

    def url(self, rest: str = "") -> str:
        """Returns the cluster's URL, with all nodes."""
        return f"nats://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}{rest}"

    def wait_until_whole(self) -> None:
        """Returns when every node is healthy and JetStream's leader sees all of them: else it places no replicas."""
        for node in self.nodes:
            node.wait_until_healthy()
        deadline = time.monotonic() + _PATIENCE
        while not any(self._sees_all(node) for node in self.nodes):
            assert time.monotonic() < deadline, "JetStream's leader does not see all nodes"
            time.sleep(0.05)

    def _sees_all(self, node: NatsServer) -> bool:
        try:
            cluster = node.monitoring("/jsz")["meta_cluster"]
        except (OSError, ValueError, KeyError):
            return False
        peers = cluster.get("replicas", ())
        return len(peers) == len(self.nodes) - 1 and not any(peer.get("offline", False) for peer in peers)

    def leader_of(self, stream: str) -> NatsServer | None:
        """Returns the node that leads `stream`, or None, as seen by the nodes that answer."""
        for node in self.nodes:
            try:
                page = node.monitoring("/jsz?streams=true&accounts=true")
            except (OSError, ValueError):
                continue
            for account in page.get("account_details", ()):
                for detail in account.get("stream_detail", ()):
                    leader = detail.get("cluster", {}).get("leader")
                    if detail["name"] == stream and leader:
                        return next((each for each in self.nodes if each.name == leader), None)
        return None

    async def new_leader_of(self, stream: str, *, instead_of: NatsServer) -> NatsServer:
        """Waits until another node than `instead_of` leads."""
        deadline = time.monotonic() + _PATIENCE
        while (leader := self.leader_of(stream)) is None or leader is instead_of:
            assert time.monotonic() < deadline, f"no other node leads {stream}"
            await asyncio.sleep(0.1)
        return leader


def _program() -> str:
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    assert found is not None
    return found
