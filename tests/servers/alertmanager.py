"""A real Alertmanager of Debian on loopback, for as long as a context lasts; it can be stopped, killed and paused."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.request import Request, urlopen

import pytest
import yaml
from tests.servers.ports import free_port
from tests.servers.redis import end_with_parent

PROGRAM = shutil.which("prometheus-alertmanager")

needs_alertmanager = pytest.mark.skipif(
    PROGRAM is None, reason="Alertmanager is not installed; on Debian it is the package prometheus-alertmanager"
)

_PATIENCE = 60.0


class AlertmanagerServer:
    """Alertmanager with its data in a folder of its own, gone when the context ends.

    It notifies the webhook at the URL `receiver` of every alert by itself and at once. `web` is its web configuration:
    TLS and users. `prefix` is the path at which it is served.
    """

    def __init__(self, receiver: str | None = None, *, prefix: str = "", web: Mapping[str, Any] | None = None) -> None:
        self.port = free_port()
        self.prefix = prefix
        self._folder = Path(tempfile.mkdtemp(prefix="healthprobe-alertmanager-"))
        self._process: subprocess.Popen[bytes] | None = None
        hook = [] if receiver is None else [{"url": receiver, "send_resolved": True}]
        route = {
            "receiver": "hook",
            "group_by": ["..."],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "24h",
        }
        configuration = {
            "global": {"resolve_timeout": "1s"},
            "route": route,
            "receivers": [{"name": "hook", "webhook_configs": hook}],
        }
        (self._folder / "alertmanager.yml").write_text(yaml.safe_dump(configuration))
        (self._folder / "web.yml").write_text(yaml.safe_dump(dict(web or {})))

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def address(self) -> str:
        """Host, port and path."""
        return f"127.0.0.1:{self.port}{self.prefix}"

    @property
    def url(self) -> str:
        """The URL of an alerter without TLS and users."""
        return f"alertmanager+http://{self.address}"

    def alerts(self) -> list[dict[str, Any]]:
        """Returns the alerts that fire now, as its API does."""
        return self._asked("/api/v2/alerts")  # type: ignore[no-any-return]

    def resolve_all(self) -> None:
        """Ends every alert, as an administrator would with amtool."""
        alerts = self.alerts()
        for alert in alerts:
            alert["endsAt"] = alert["startsAt"]
        self._asked("/api/v2/alerts", alerts)

    def start(self) -> None:
        """Starts it, on the same port and data as before, and waits until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(PROGRAM),
                    f"--config.file={self._folder / 'alertmanager.yml'}",
                    f"--web.config.file={self._folder / 'web.yml'}",
                    f"--storage.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    f"--web.external-url=http://{self.address}",
                    "--cluster.listen-address=",
                ],
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  one call, no lock
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"Alertmanager does not start: {self._last_words()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stops it in order: it keeps what it has notified of, and no alert."""
        self._signal(signal.SIGTERM)
        assert self._process is not None
        self._process.wait(_PATIENCE)

    def restart(self) -> None:
        """Stops it in order and starts it again."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Sends SIGSTOP: connections stay open, the kernel accepts new ones, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Sends SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), _PATIENCE):
                return True
        except OSError:
            return False

    def _asked(self, path: str, document: Any = None) -> Any:
        body = None if document is None else json.dumps(document).encode()
        request = Request(f"http://{self.address}{path}", data=body, headers={"Content-Type": "application/json"})
        with urlopen(request, timeout=_PATIENCE) as response:
            content = response.read()
        return json.loads(content) if content[:1] in {b"[", b"{"} else None

    def _last_words(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-500:]
