"""HAProxy: what its health checks cost, each on a connection of its own, as HAProxy makes them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.contenders.contender import INTERVAL, PROBE_TIMEOUT, Course, Probing, required
from benchmarks.processes import running

_CONFIGURATION = """\
global
    nbthread 1
    maxconn 100
    stats socket {stats}
defaults
    mode http
    timeout connect {timeout}ms
    timeout client {timeout}ms
    timeout server {timeout}ms
    timeout check {timeout}ms
backend engines
    option httpchk GET /healthz
    http-check expect status 200
    default-server check inter {interval}ms fall 3 rise 1
{servers}
"""

_STATUS_COLUMN = 17


@dataclass(frozen=True, slots=True)
class HaproxyChecks:
    """One backend in which every engine is a server, checked every second; no traffic."""

    name: str = "HAProxy checks"
    connections: Literal["kept", "fresh"] = "fresh"

    @contextmanager
    def probing(self, course: Course) -> Iterator[Probing]:
        haproxy = required("haproxy", "haproxy")
        stats = course.workspace / "haproxy.sock"
        addresses = (endpoint.removeprefix("http://") for endpoint in course.endpoints)
        servers = "\n".join(f"    server engine-{number} {address}" for number, address in enumerate(addresses))
        configuration = course.workspace / "haproxy.cfg"
        configuration.write_text(
            _CONFIGURATION.format(
                stats=stats, timeout=round(PROBE_TIMEOUT * 1000), interval=round(INTERVAL * 1000), servers=servers
            )
        )
        with running([haproxy, "-db", "-f", str(configuration)], course.workspace) as child:
            child.wait_until(stats.exists)
            warm_up = 3 * course.engine_count
            probing = Probing(child, course.engines, course.engine_count, warm_up=warm_up, paced=True)
            yield probing
            probing.failed = _servers_not_up(stats)
            probing.notes.append("failed: servers that are not UP in the end")


def _servers_not_up(stats: Path) -> int:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(stats))
        asking.sendall(b"show stat -1 4 -1\n")
        with asking.makefile() as answer:
            rows = [line.split(",") for line in answer if line.startswith("engines,engine-")]
    return sum(not row[_STATUS_COLUMN].startswith("UP") for row in rows)
