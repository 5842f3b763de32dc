"""An engine of all kinds behind one link: `python -m tests.probing.names.link_engine healthy|failing FOLDER`.

The requests must name the address without its zone: any other Host is answered with 421, and a server name in the
handshake, which is never that of an address, ends it.
"""

from __future__ import annotations

import http.server
import socket
import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import trustme
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

ADDRESS = "fe80::b"
HTTP, HTTPS, GREETER, GRPC = 8080, 8443, 8081, 9090
READY = "ready"


def main() -> None:
    state, folder = sys.argv[1], Path(sys.argv[2])
    is_healthy = state == "healthy"
    plain = _server(HTTP, is_healthy=is_healthy)
    secure = _server(HTTPS, is_healthy=is_healthy)
    secure.socket = _tls_context(folder).wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
    greeter = socket.create_server(("::", GREETER), family=socket.AF_INET6)
    for serve in (plain.serve_forever, secure.serve_forever, lambda: _greet(greeter, state.encode())):
        threading.Thread(target=serve, daemon=True).start()
    servicer = health.HealthServicer()
    servicer.set("", getattr(health_pb2.HealthCheckResponse, "SERVING" if is_healthy else "NOT_SERVING"))
    server = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(f"[::]:{GRPC}")
    server.start()
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    server.wait_for_termination(60)


class _Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True


def _server(port: int, *, is_healthy: bool) -> _Server:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = f"[{ADDRESS}]:{port}"
            moved = self.path == "/moved/healthz"
            status = 302 if moved else 200 if is_healthy else 503
            self.send_response(status if self.headers["Host"] == host else 421)
            if moved:
                self.send_header("Location", f"http://{host}/healthz")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return _Server(("::", port), Handler)


def _tls_context(folder: Path) -> ssl.SSLContext:
    """A context with a certificate for the address; writes its authority to the folder."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(ADDRESS).configure_cert(context)

    def refuse(_connection: object, name: str | None, _context: object) -> int | None:
        return None if name is None else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context.sni_callback = refuse
    return context


def _greet(listener: socket.socket, word: bytes) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(word)


if __name__ == "__main__":
    main()
