"""blackbox_exporter: what one /probe costs Prometheus's prober."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from itertools import cycle
from typing import Literal
from urllib.parse import urlencode

from tests.servers.ports import free_port

from benchmarks.contenders.contender import PROBE_TIMEOUT, Course, Missing, Probing, required
from benchmarks.engines import is_taken
from benchmarks.processes import running

_MODULES = """\
modules:
  healthz:
    prober: http
    timeout: {timeout:g}s
    http:
      method: GET
      valid_status_codes: [200]
      preferred_ip_protocol: ip4
      ip_protocol_fallback: false
"""

_ASKERS = 4
_ANSWER_SECONDS = 10.0
_WARM_UP = 2000


@dataclass(frozen=True, slots=True)
class BlackboxExporter:
    """The exporter, asked over a few kept-alive connections; who asks is not measured."""

    name: str = "blackbox_exporter"
    connections: Literal["kept", "fresh"] = "fresh"

    @contextmanager
    def probing(self, course: Course) -> Iterator[Probing]:
        exporter = _exporter()
        modules = course.workspace / "blackbox.yml"
        modules.write_text(_MODULES.format(timeout=PROBE_TIMEOUT))
        port = free_port()
        command = [exporter, f"--config.file={modules}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
        with running(command, course.workspace) as child:
            askers = Askers(port, course.endpoints)
            child.wait_until(lambda: is_taken(port))
            askers.start()
            probing = Probing(child, course.engines, course.engine_count, warm_up=_WARM_UP)
            try:
                yield probing
            finally:
                askers.stop()
            probing.failed = askers.failed
            probing.notes.append("its own CPU only, asked by a client that keeps its connections")


class Askers:
    """Threads that ask the exporter about one engine after the other, for as long as they may."""

    def __init__(self, port: int, endpoints: Sequence[str]) -> None:
        self.failed = 0
        self._port = port
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(endpoints[first::_ASKERS],), daemon=True)
            for first in range(_ASKERS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, endpoints: Sequence[str]) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_SECONDS)
        for endpoint in cycle(endpoints):
            if self._ended.is_set():
                break
            try:
                connection.request("GET", "/probe?" + urlencode({"module": "healthz", "target": f"{endpoint}/healthz"}))
                healthy = b"\nprobe_success 1" in connection.getresponse().read()
            except (OSError, HTTPException):
                healthy = False
                connection.close()
            self.failed += not healthy
        connection.close()


def _exporter() -> str:
    """Debian's name for it, or its own."""
    try:
        return required("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")
    except Missing:
        return required("blackbox_exporter", "prometheus-blackbox-exporter")
