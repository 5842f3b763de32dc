"""Our close is no reset as long as the rest of a body is small and comes soon: engines log resets as errors."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.probing.probes import probes, target_at

from healthprobe.domain.endpoint import parse_endpoint
from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.domain.probe.probe_parsing import settings_from
from healthprobe.domain.target import ProbeTarget
from healthprobe.probing.http import HTTPProber
from healthprobe.probing.prober import ProberByKind

PROBES = 48
ROUNDS = 3
"""A busy server may send the rest later than the tenth of a second for which it is read, but not every time."""


class Server(ThreadingHTTPServer):
    """Python's own server, which logs a traceback where a client resets its connection."""

    daemon_threads = True

    def __init__(self, status: int, body: bytes, pause: float) -> None:
        self.errors: list[BaseException | None] = []
        self.answer = (status, body, pause)
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.errors.append(sys.exception())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        status, body, pause = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", "http://elsewhere.example/")
        self.end_headers()
        for start in range(0, len(body), 1000):
            time.sleep(pause)
            self.wfile.write(body[start : start + 1000])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the library's name
        pass


@contextmanager
def serving(status: int, body: bytes, pause: float) -> Iterator[Server]:
    server = Server(status, body, pause)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(2)


@pytest.mark.proves("close-without-reset")
@pytest.mark.parametrize("keep", [True, False], ids=["kept", "fresh"])
@pytest.mark.parametrize("status", [200, 302, 503])
@pytest.mark.parametrize(("size", "pause"), [(10, 0.0), (10, 0.005), (3000, 0.002)])
async def test_a_server_that_sends_its_body_after_its_head_sees_no_reset(
    status: int, size: int, pause: float, *, keep: bool
) -> None:
    for _ in range(ROUNDS):
        with serving(status, b"x" * size, pause) as server:
            target = target_at(f"http://127.0.0.1:{server.server_port}")
            async with HTTPProber(keep_connections=keep) as prober:
                outcomes = await probes(prober, target, PROBES)
                assert all(getattr(outcome, "last_status", 200) == status for outcome in outcomes)
                await asyncio.sleep(0.15)
                assert prober.open_connections == (1 if keep and status == 200 else 0)
        if not server.errors:
            return
    assert not server.errors


async def test_a_body_that_does_not_come_does_not_hold_the_connection() -> None:
    with serving(503, b"xx", 1.0) as server:
        async with HTTPProber() as prober:
            began = time.monotonic()
            outcome = await prober.probe(target_at(f"http://127.0.0.1:{server.server_port}"))
            assert outcome == Failed(503, "unexpected status 503")
            assert time.monotonic() - began < 0.9, "the verdict does not wait for it"
            await asyncio.sleep(0.3)
            assert prober.open_connections == 0


async def test_a_tcp_probe_of_a_server_that_greets_is_no_reset() -> None:
    """As an SSH server does, which writes a line to its log for each reset."""
    ends: list[bytes | OSError] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(PROBES):
                accepted, _ = listener.accept()
                with accepted:
                    accepted.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
                    try:
                        ends.append(accepted.recv(100))
                    except OSError as error:
                        ends.append(error)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        endpoint = parse_endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}")
        settings = settings_from({"kind": "tcp", "expect": {"body_contains": "SSH"}})
        prober = ProberByKind(HTTPProber())
        for _ in range(PROBES):
            assert await prober.probe(ProbeTarget("game-7", endpoint, 5.0, settings)) == HEALTHY
        await prober.aclose()
        await asyncio.to_thread(thread.join, 5)
    assert ends == [b""] * PROBES
