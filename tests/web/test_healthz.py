"""`/healthz` answers every health checker in every form of request, and says nothing secret."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode

import httpx
import pytest
from tests.support.waiting import PATIENCE
from tests.telemetry.metrics.monitored_worker import MonitoredWorker
from tests.web.client import app_of, get, raw

from healthprobe.domain.outcome import HEALTHY, Inconclusive
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import ticks
from healthprobe.web.listen_address import ListenAddress
from healthprobe.web.server import serving

TOKEN = "long and random"
ANY = ListenAddress("127.0.0.1", 0)
FORMS = {
    "HTTP/1.0 without Host": "GET /healthz HTTP/1.0\r\n",
    "HAProxy's option httpchk": "OPTIONS /healthz HTTP/1.0\r\n",
    "a trailing slash": "GET /healthz/ HTTP/1.1\r\nHost: localhost\r\n",
    "two slashes": "GET //healthz HTTP/1.0\r\n",
    "absolute form": "GET http://prober.example:8600/healthz HTTP/1.1\r\nHost: prober.example:8600\r\n",
    "absolute form without Host": "GET HTTP://prober.example/healthz/ HTTP/1.0\r\n",
    "HEAD": "HEAD /healthz HTTP/1.1\r\nHost: prober.example\r\n",
    "HEAD of HTTP/1.0": "HEAD /healthz HTTP/1.0\r\n",
    "another Host": "GET /healthz HTTP/1.1\r\nHost: 10.0.0.7:8600\r\n",
    "an empty Host": "GET /healthz HTTP/1.1\r\nHost:\r\n",
    "a Host that is no name": "GET /healthz HTTP/1.1\r\nHost: ]:\r\n",
    "a query": "GET /healthz?from=balancer HTTP/1.0\r\n",
    "a wrong token": "GET /healthz HTTP/1.0\r\nAuthorization: Bearer wrong\r\n",
}


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("form", FORMS)
async def test_healthz_answers_every_form_of_request(form: str, token: str | None) -> None:
    monitored = MonitoredWorker({"a": HEALTHY})
    async with serving(app_of(monitored, token=token), ANY) as url:
        answer = await raw(httpx.URL(url).port or 0, FORMS[form])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), answer
    if form.startswith("HEAD"):
        assert body == b""
    else:
        assert json.loads(body) == {"well": True, "trouble": None}


async def test_lines_may_end_in_a_line_feed_alone() -> None:
    async with serving(app_of(MonitoredWorker({"a": HEALTHY})), ANY) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
        writer.write(b"GET /healthz HTTP/1.0\n\n")
        async with asyncio.timeout(PATIENCE):
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()


@pytest.mark.parametrize("form", ["GET /api/fleet HTTP/1.0\r\n", "GET /api/healthz HTTP/1.0\r\n"])
@pytest.mark.parametrize(("token", "status"), [(None, b"421"), (TOKEN, b"401")])
async def test_nothing_else_answers_without_host_and_token(form: str, token: str | None, status: bytes) -> None:
    async with serving(app_of(MonitoredWorker({"a": HEALTHY}), token=token), ANY) as url:
        answer = await raw(httpx.URL(url).port or 0, form)
    assert answer.startswith(b"HTTP/1.1 " + status)


async def test_every_resource_answers_the_absolute_form() -> None:
    async with serving(app_of(MonitoredWorker({"a": HEALTHY})), ANY) as url:
        port = httpx.URL(url).port or 0
        for target in (url, url.rstrip("/"), f"{url}api/fleet?x=http://y/", f"{url.replace('http', 'HTTP')}page.js"):
            answer = await raw(port, f"GET {target} HTTP/1.1\r\nHost: prober.example\r\n")
            assert answer.startswith(b"HTTP/1.1 200 "), target
        assert b"watched here: a/b" in await raw(port, f"GET {url}api/games/a%2Fb HTTP/1.0\r\n")


async def away() -> MonitoredWorker:
    """A worker whose event has waited for its log for longer than three intervals; the error names what is inside."""
    monitored = MonitoredWorker({"game-of-ann": [HEALTHY, UNAVAILABLE]}, failures_threshold=1)
    await ticks(monitored.worker, 1)
    monitored.stage.log.unavailable = True
    await ticks(monitored.worker, 1)
    monitored.worker._event_writer.error = "postgresql://ann@db.internal/: no such role; event of game-of-ann"
    monitored.worker._event_writer.away_since = monitored.stage.clock.monotonic() - 90
    return monitored


@pytest.mark.proves("healthz-without-token")
async def test_the_words_of_the_log_are_for_readers_alone() -> None:
    monitored = await away()
    app = app_of(monitored, token=TOKEN)
    password = "Basic " + b64encode(f"me:{TOKEN}".encode()).decode()
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Host": "localhost"}):
        answer = await get(app, "/healthz", **headers)
        assert answer.status_code == 503
        trouble = answer.json()["trouble"]
        assert "its log has taken nothing for" in trouble
        assert trouble.endswith("1 event waits for it")
        assert "ann" not in answer.text
    for authorization in (f"Bearer {TOKEN}", password):
        answer = await get(app, "/healthz", Authorization=authorization)
        assert answer.json()["trouble"].endswith("1 event waits for it: " + monitored.worker.status.log_error)


async def test_without_a_token_the_words_of_the_log_are_for_this_machine_alone() -> None:
    monitored = await away()
    app = app_of(monitored)
    assert "db.internal" in (await get(app, "/healthz")).text
    for host in ("evil.example", "", "10.0.0.1"):
        answer = await get(app, "/healthz", Host=host)
        assert answer.status_code == 503
        assert "db.internal" not in answer.text


@pytest.mark.slow
async def test_healthz_says_that_nothing_is_known_of_most_games_and_to_readers_why() -> None:
    prohibited = Inconclusive("the prober's machine prohibits the connection", no_route=True)
    monitored = MonitoredWorker({"a": prohibited, "b": prohibited, "c": HEALTHY})
    for _ in range(3):
        await monitored.worker.tick()
        await asyncio.sleep(5.0)
    for token, shown in ((None, f"nothing has been known of 2 of 3 games for 15s: {prohibited.cause}"), (TOKEN, "15s")):
        answer = await get(app_of(monitored, token=token), "/healthz")
        assert (answer.status_code, answer.json()["well"]) == (503, False)
        assert answer.json()["trouble"].endswith(shown)
