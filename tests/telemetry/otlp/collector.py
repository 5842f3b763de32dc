"""An OTLP/HTTP collector: a small real server that decodes and keeps what it receives."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver:
    """Listens at `url` inside the context. With `hangs` it accepts connections and never answers."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.metrics_requests: list[ExportMetricsServiceRequest] = []
        self.trace_requests: list[ExportTraceServiceRequest] = []
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if hangs:
                    receiver.released.wait()
                    return
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.take(self.path, body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is theirs
                """Logs nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, path: str, body: bytes) -> None:
        """Decodes and keeps a request. Raises KeyError for an unknown path."""
        if path == "/v1/metrics":
            self.metrics_requests.append(ExportMetricsServiceRequest.FromString(body))
        elif path == "/v1/traces":
            self.trace_requests.append(ExportTraceServiceRequest.FromString(body))
        else:
            raise KeyError(path)

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics of the last request, by name."""
        (resource,) = self.metrics_requests[-1].resource_metrics
        return {metric.name: metric for metric in resource.scope_metrics[0].metrics}

    @property
    def resource(self) -> dict[str, str | int | float]:
        """The resource attributes of the last metrics."""
        return attributes(self.metrics_requests[-1].resource_metrics[0].resource.attributes)

    def spans(self, name: str) -> list[Span]:
        """Returns the spans with this name, in order of arrival."""
        scopes = [
            scope
            for request in self.trace_requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
        ]
        return [span for scope in scopes for span in scope.spans if span.name == name]


def attributes(pairs: Iterable[KeyValue]) -> dict[str, str | int | float]:
    """Attributes as a dict."""
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in pairs}
