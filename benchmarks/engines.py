"""The engines: thousands of addresses on loopback, one port, and one process behind them that is not measured."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from tests.servers.ports import free_port

from benchmarks.plain_engines import BACKLOG
from benchmarks.processes import running

DIFFERING = "/differing"
"""Below this path no two answers are the same, where the engines are nginx."""

_ANSWER_SECONDS = 10.0
_REQUESTS = re.compile(r"(\d+) (\d+) (\d+)")

_NGINX_CONF = """\
daemon off;
master_process off;
pid {workspace}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 15000; multi_accept on; }}
http {{
  access_log off;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  tcp_nodelay on;
  client_body_temp_path {workspace}/body;
  proxy_temp_path {workspace}/proxy;
  fastcgi_temp_path {workspace}/fastcgi;
  uwsgi_temp_path {workspace}/uwsgi;
  scgi_temp_path {workspace}/scgi;
  server {{
    listen 0.0.0.0:{port} backlog={backlog};
    allow 127.0.0.0/8;
    deny all;
    default_type text/plain;
    location / {{ return 200 "ok"; }}
    location {differing} {{ add_header Request-Id $request_id; return 200 "ok"; }}
    location = /requests {{ stub_status; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Engines:
    """Running engines. They count for everybody: a contender's probes are what its engines were asked."""

    kind: str
    port: int

    def endpoint(self, number: int) -> str:
        """Where engine `number` is: an address of its own for each of the first 15 million."""
        address = f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"
        return f"http://{address}:{self.port}"

    def endpoints(self, count: int) -> list[str]:
        return [self.endpoint(number) for number in range(count)]

    def requests(self) -> int:
        """How many requests they were sent so far; asking counts as one with nginx. Raises OSError."""
        found = _REQUESTS.search(self._asked("/requests"))
        if found is None:
            raise OSError("the engines do not report their number of requests")
        return int(found[3])

    def fail(self) -> None:
        """All of them answer 503 from now on; plain engines alone can. Raises OSError."""
        self._asked("/fail")

    def heal(self) -> None:
        """All of them answer 200 again."""
        self._asked("/heal")

    def _asked(self, path: str) -> str:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=_ANSWER_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()


@contextmanager
def cheapest_engines(workspace: Path) -> Iterator[Engines]:
    """nginx where it is installed, else plain engines: cheaper than any contender, so that they never are the limit."""
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if nginx is None:
        with plain_engines(workspace) as engines:
            yield engines
        return
    port = free_port("0.0.0.0")
    configuration = workspace / f"nginx-{port}.conf"
    configuration.write_text(_NGINX_CONF.format(workspace=workspace, port=port, backlog=BACKLOG, differing=DIFFERING))
    version = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=False).stderr.rpartition("/")[2]
    engines = Engines(f"nginx {version.strip()}", port)
    with running([nginx, "-p", str(workspace), "-c", str(configuration)], workspace) as child:
        child.wait_until(lambda: is_taken(engines.port))
        yield engines


@contextmanager
def plain_engines(workspace: Path, *, answer_after: float = 0.0, identity: bool = False) -> Iterator[Engines]:
    """Our own, which can hold each answer back for `answer_after` seconds, or name their games (`identity`)."""
    engines = Engines(
        "uvloop" + (f", each answer {answer_after:g} s late" if answer_after else ""), free_port("0.0.0.0")
    )
    command = [sys.executable, "-m", "benchmarks.plain_engines", str(engines.port)]
    command += [f"--answer-after={answer_after}", *(["--identity"] if identity else [])]
    with running(command, workspace, talking=True) as child:
        child.wait_until(lambda: is_taken(engines.port))
        yield engines


@contextmanager
def silent_engines(workspace: Path) -> Iterator[Engines]:
    """Engines that accept every connection and never answer anything."""
    engines = Engines("silent", free_port("0.0.0.0"))
    command = [sys.executable, "-m", "benchmarks.plain_engines", str(engines.port), "--silent"]
    with running(command, workspace, talking=True) as child:
        child.wait_until(lambda: is_taken(engines.port))
        yield engines


def is_taken(port: int) -> bool:
    """Returns whether a server listens on `port`."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("0.0.0.0", port))
        except OSError:
            return True
    return False
