"""The probe settings of a record: how its game is probed, and which answer is expected."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from healthprobe.domain.outcome import OK

JsonValue = str | int | float | bool | None

StatusRange = tuple[int, int]
"""The first and the last status of a range, both included."""


class ProbeKind(StrEnum):
    """The protocol of a probe."""

    HTTP = "http"
    TCP = "tcp"
    """A connection, and with `send` or an expectation a message and an answer."""

    GRPC = "grpc"
    """The standard health service, grpc.health.v1."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a healthy answer looks like. All conditions must hold.

    `body_contains` is searched in the first 64 KiB of the body, or over TCP of all that is received. `json_path` names
    a value in a JSON body, such as `a.b[0].c`, which must be `json_value`.
    """

    statuses: tuple[StatusRange, ...] = ((OK, OK),)
    body_contains: str | None = None
    json_path: str | None = None
    json_value: JsonValue = None

    @property
    def reads_body(self) -> bool:
        """Whether the verdict needs the body as well as the head."""
        return self.body_contains is not None or self.json_path is not None


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The CA to trust and the client certificate to present.

    `ca`, `certificate` and `key` are absolute paths of PEM files on the prober's machine. Without `verify` any
    certificate is accepted. `server_name` is requested and verified instead of the endpoint's host.
    """

    ca: str | None = None
    server_name: str | None = None
    verify: bool = True
    certificate: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How one game is probed. None takes the run's setting; the other defaults are the reference's probe.

    `path` begins with a slash and replaces `/healthz`, below the endpoint's prefix. `host` is the Host header,
    or the `:authority` of gRPC. `timeout` is in seconds. The game is probed in each `every`-th tick. `send` is what a
    TCP probe sends once it is connected, `service` the gRPC service to check, empty for the whole server.
    """

    kind: ProbeKind = ProbeKind.HTTP
    path: str | None = None
    port: int | None = None
    host: str | None = None
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    expect: Expectation = Expectation()
    timeout: float | None = None
    every: int = 1
    failures: int | None = None
    successes: int | None = None
    tls: TlsSettings | None = None
    send: str | None = None
    service: str = ""


PLAIN = ProbeSettings()
"""The reference's probe: GET /healthz, expecting 200."""
