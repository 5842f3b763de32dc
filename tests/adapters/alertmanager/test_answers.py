"""An Alertmanager that refuses, hangs, or is something else: a clear line, and whether a retry can help."""

from __future__ import annotations

import asyncio

import pytest
from tests.adapters.alertmanager.managers import refused, refused_by, scripted
from tests.servers.web import Answer, Script, in_turn, raw, resetting, silent, trickling

from healthprobe.ports import PublishError
from healthprobe.testing.contracts.samples import alert_of

HTML = {"Content-Type": "text/html; charset=utf-8"}
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_2xx_acknowledges(status: int) -> None:
    async with scripted(Answer(status)) as (server, alerter):
        await alerter.fire([alert_of("game-7")])
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        (400, b'"start time must be before end time"', JSON, "answered 400: start time must be before end time"),
        (400, b'{"message": 5}', JSON, "answered 400: 5"),
        (413, b"", {}, "answered 413"),
        (413, b"<html>", HTML, "answered 413 with a web page"),
        (422, b'{"code":601,"message":"labels in body is required"}', JSON, "answered 422: labels in body is required"),
    ],
)
async def test_a_refusal_of_an_alert_is_permanent(
    status: int, body: bytes, headers: dict[str, str], expected: str
) -> None:
    error = await refused_by(Answer(status, body, headers))
    assert str(error).endswith(expected)
    assert (error.permanent, error.delivered, error.code) == (True, 0, str(status))


@pytest.mark.proves("alert-refusal")
@pytest.mark.parametrize("status", [400, 408, 409, 425, 429, 500, 502, 503, 504, 599])
async def test_its_own_trouble_is_retried(status: int) -> None:
    error = await refused_by(Answer(status, b"overloaded", {"Retry-After": "7"}))
    assert str(error).endswith(f"answered {status}: overloaded")
    assert (error.permanent, error.retry_after, error.code) == (False, 7.0, str(status))


@pytest.mark.proves("alert-web-page")
@pytest.mark.parametrize("status", [200, 400, 404, 502])
async def test_a_web_page_is_not_the_word_of_an_alertmanager(status: int) -> None:
    error = await refused_by(Answer(status, b"<html><title>Sign in</title>", HTML))
    expected = "with a web page; check the URL and its path prefix, and what stands before Alertmanager"
    assert str(error).endswith(f"answered {status} {expected}")
    assert (error.permanent, error.code) == (False, "html")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_login_that_fails_says_what_to_check(status: int) -> None:
    error = await refused_by(Answer(status))
    assert str(error).endswith(f"answered {status}; check the user and the secret")
    assert not error.permanent


async def test_a_missing_path_says_what_to_check() -> None:
    error = await refused_by(Answer(404, b"404 page not found"))
    assert str(error).endswith("answered 404: 404 page not found; check the path prefix of the URL")
    assert not error.permanent


@pytest.mark.proves("alert-redirect")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with scripted() as (elsewhere, _):
        moved = Answer(status, headers={"Location": elsewhere.url("/api/v2/alerts?token=1", credentials="u:p")})
        error = await refused_by(moved)
        assert not elsewhere.asked
    place = f"http://***@127.0.0.1:{elsewhere.port}/api/v2/alerts"
    assert f"it has moved to {place}; redirects are not followed, so give the new URL" in str(error)
    assert (error.permanent, error.retry_after) == (False, None)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (resetting, "connection closed before the answer"),
        (raw(b"garbage\r\n\r\n"), "the answer is not HTTP"),
        (silent, "no answer within 0.3s"),
        (trickling(b"HTTP/1.1 200 OK\r\nX: "), "no answer within 0.3s"),
    ],
)
async def test_a_broken_or_missing_answer_is_retried(script: Script, expected: str) -> None:
    async with scripted(script, timeout=0.3) as (server, alerter):
        error = await refused(alerter)
    assert str(error) == f"Alertmanager at http://127.0.0.1:{server.port}: {expected}"
    assert (error.permanent, error.code) == (False, "")


async def test_to_reach_it_is_to_ask_for_its_status_below_its_prefix() -> None:
    async with scripted(in_turn(Answer(200), Answer(200, b"", HTML), Answer(401)), rest="/ops") as (server, alerter):
        await alerter.reach()
        for expected in ("check the URL and its path prefix", "check the user and the secret"):
            with pytest.raises(PublishError, match=expected):
                await alerter.reach()
    assert {(asked.method, asked.path) for asked in server.asked} == {("GET", "/ops/api/v2/status")}


async def test_one_that_hangs_can_be_left_at_any_time() -> None:
    async with scripted(silent) as (_, alerter):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(refused(alerter), 0.1)


async def test_escapes_in_an_answer_reach_no_terminal() -> None:
    error = await refused_by(Answer(503, b"\x1b[31mred\x07" + b"x" * 1000))
    assert "\x1b" not in str(error)
    assert len(str(error)) < 300
