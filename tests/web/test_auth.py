"""Authentication, the Host check, and the security headers."""

from __future__ import annotations

from base64 import b64encode

import httpx
import pytest
from tests.telemetry.metrics.monitored_worker import MonitoredWorker
from tests.web.client import app_of, get, raw

from healthprobe.app.settings import Settings
from healthprobe.domain.outcome import HEALTHY
from healthprobe.ports import ConfigurationError
from healthprobe.web.listen_address import ListenAddress
from healthprobe.web.server import serving

PATHS = ("/", "/metrics", "/api/fleet", "/api/games", "/api/games/a", "/api/incidents", "/api/events", "/api/cells",
         "/api/events/stream", "/api/cells/stream", "/api/openapi.json", "/api/availability?game=a",
         "/page.js", "/nowhere")  # fmt: skip


async def one_game() -> MonitoredWorker:
    return MonitoredWorker({"a": HEALTHY})


@pytest.mark.proves("token-required")
@pytest.mark.parametrize("path", PATHS)
async def test_every_path_requires_the_token(path: str) -> None:
    app = app_of(await one_game(), token="long and random")
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "long and random"},
    ):
        answer = await get(app, path, **headers)
        assert answer.status_code == 401
        assert "HEALTHPROBE_TOKEN" in answer.json()["error"]
        assert answer.headers["www-authenticate"].startswith("Basic ")


async def test_healthz_needs_no_token() -> None:
    answer = await get(app_of(await one_game(), token="long and random"), "/healthz", Host="prober.example")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "authorization",
    ["Bearer long and random", "bearer long and random", "Basic " + b64encode(b"me:long and random").decode()],
)
async def test_with_the_token_any_host_name_is_answered(authorization: str) -> None:
    app = app_of(await one_game(), token="long and random")
    answer = await get(app, "/api/fleet", Authorization=authorization, Host="prober.example:8600")
    assert answer.status_code == 200


@pytest.mark.parametrize("credentials", ["", "!!!", b64encode(b"long and random").decode()])
async def test_malformed_credentials_are_refused(credentials: str) -> None:
    app = app_of(await one_game(), token="long and random")
    assert (await get(app, "/api/fleet", Authorization=f"Basic {credentials}")).status_code == 401


@pytest.mark.parametrize("host", ["127.0.0.1:8600", "localhost", "LOCALHOST:1", "[::1]:8600", "127.9.9.9"])
async def test_without_a_token_a_request_for_a_loopback_host_is_answered(host: str) -> None:
    assert (await get(app_of(await one_game()), "/api/fleet", Host=host)).status_code == 200


@pytest.mark.proves("dns-rebinding")
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8600", "127.0.0.1.evil.example", "10.0.0.1", "", "[::2]"]
)
async def test_without_a_token_a_request_for_another_host_is_refused(host: str) -> None:
    answer = await get(app_of(await one_game()), "/api/fleet", Host=host)
    assert answer.status_code == 421


@pytest.mark.proves("host-absolute-form")
@pytest.mark.parametrize("target", ["http://evil.example:8600/api/fleet", "http://127.0.0.1@evil.example/api/fleet"])
async def test_the_host_of_a_target_in_absolute_form_counts_and_not_the_header(target: str) -> None:
    async with serving(app_of(await one_game()), ListenAddress("127.0.0.1", 0)) as address:
        answer = await raw(httpx.URL(address).port or 0, f"GET {target} HTTP/1.1\r\nHost: localhost\r\n")
    assert answer.startswith(b"HTTP/1.1 421 ")


@pytest.mark.proves("page-policy")
@pytest.mark.parametrize("path", ["/", "/api/fleet", "/nowhere"])
async def test_the_content_security_policy_allows_only_our_own_files_and_no_frames(path: str) -> None:
    headers = (await get(app_of(await one_game()), path)).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.proves("page-files")
@pytest.mark.parametrize("path", [
    "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/page.js/../__init__.py", "/__init__.py",
    "/..%2fguard.py", "/page.js%00.html", "/api/../../etc/passwd", "/etc/passwd", "http://localhost/etc/passwd",
])  # fmt: skip
async def test_no_path_leads_to_another_file(path: str) -> None:
    async with serving(app_of(await one_game()), ListenAddress("127.0.0.1", 0)) as address:
        answer = await raw(httpx.URL(address).port or 0, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n")
    assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 "))
    assert b"root:" not in answer


@pytest.mark.proves("api-read-only")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", PATHS)
async def test_only_get_is_allowed(path: str, method: str) -> None:
    transport = httpx.ASGITransport(app=app_of(await one_game()))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8600") as client:
        assert (await client.request(method, path)).status_code in {404, 405}


@pytest.mark.proves("listen-needs-token")
def test_listening_beyond_loopback_needs_a_token() -> None:
    for host in ("0.0.0.0", "10.0.0.1", "::", "", "prober.example"):
        with pytest.raises(ConfigurationError, match="set HEALTHPROBE_TOKEN to a long random word"):
            Settings(listen=ListenAddress(host, 8600))
        assert Settings(listen=ListenAddress(host, 8600), token="long and random").listen is not None
    for host in ("127.0.0.1", "localhost", "::1"):
        assert Settings(listen=ListenAddress(host, 8600)).listen is not None
    assert Settings(listen=ListenAddress("", 0, "/run/healthprobe.sock")).listen is not None


@pytest.mark.parametrize("path", ["/api/fleet/", "/api/events/stream//"])
async def test_a_trailing_slash_is_not_found_and_not_redirected(path: str) -> None:
    app = app_of(await one_game(), token="long and random")
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"after=\xed\xa0\x80",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer long and random")], "scheme": "http",
        "server": ("127.0.0.1", 8600), "client": ("127.0.0.1", 1), "root_path": "", "http_version": "1.1",
    }  # fmt: skip
    await app(scope, receive, send)
    assert sent[0]["status"] == 404
