"""A webhook that refuses: which responses are retried and when, which are permanent, and their messages."""

import time
from email.utils import formatdate

import pytest
from tests.adapters.http.webhooks import PATIENT, refused, refused_by, webhook
from tests.servers.web import ACCEPTED, Answer, in_turn

from healthprobe.adapters.http import webhook as room
from healthprobe.testing.contracts.samples import history


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits long enough for the body of a response, also on a busy machine."""
    monkeypatch.setattr(room, "_BODY_TIMEOUT", PATIENT)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_2xx_acknowledges(status: int) -> None:
    async with webhook(Answer(status)) as (server, publisher):
        await publisher.publish(history("game-7", 2))
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "status", [401, 402, 403, 404, 405, 407, 408, 409, 425, 429, 431, 451, 499, 500, 501, 502, 503, 504, 599]
)
async def test_what_is_not_about_the_event_is_retried(status: int) -> None:
    error = await refused_by(Answer(status))
    assert (str(error), error.permanent, error.retry_after) == (f"webhook answered {status}", False, None)
    assert error.code == str(status)


@pytest.mark.parametrize("status", [400, 410, 413, 415, 422])
async def test_a_refusal_of_the_event_is_permanent(status: int) -> None:
    error = await refused_by(Answer(status, b"no game of ours"))
    assert (str(error), error.permanent) == (f"webhook answered {status}: no game of ours", True)


@pytest.mark.proves("webhook-redirect")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_parks_nothing(status: int) -> None:
    async with webhook() as (elsewhere, _):
        error = await refused_by(Answer(status, headers={"Location": elsewhere.url("/new?token=1", credentials="u:p")}))
        assert elsewhere.asked == []
    place = f"http://***@127.0.0.1:{elsewhere.port}/new"
    expected = f"webhook answered {status}: it has moved to {place}; redirects are not followed, so give the new URL"
    assert (str(error), error.permanent) == (expected, False)


async def test_a_redirect_without_a_location_is_reported() -> None:
    error = await refused_by(Answer(302))
    assert str(error) == "webhook answered 302: it has moved; redirects are not followed, so give the new URL"


@pytest.mark.parametrize("status", [304, 600, 999])
async def test_an_invalid_response_is_retried(status: int) -> None:
    assert not (await refused_by(Answer(status))).permanent


@pytest.mark.parametrize("refusal", [400, 503])
async def test_the_error_counts_the_events_acknowledged_before(refusal: int) -> None:
    async with webhook(in_turn(ACCEPTED, ACCEPTED, Answer(refusal))) as (server, publisher):
        error = await refused(publisher, history("game-7", 5))
    assert (error.delivered, len(server.asked)) == (2, 3)


async def test_the_events_after_a_refused_one_are_delivered_later() -> None:
    events = history("game-7", 3)
    async with webhook(in_turn(ACCEPTED, Answer(400), ACCEPTED)) as (server, publisher):
        error = await refused(publisher, events)
        await publisher.publish(events[error.delivered + 1 :])
    assert [asked.document["id"] for asked in server.asked] == ["game-7:1", "game-7:2", "game-7:3"]


@pytest.mark.proves("webhook-retry-after")
@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("-5", 0.0),
        ("86400", 3600.0),
        ("9" * 400, 3600.0),
        ("Mon, 23 Nov 1998 17:00:00 GMT", 0.0),
        ("Mon, 23 Nov 2998 17:00:00 GMT", 3600.0),
        ("Mon, 23 Nov 1998 17:00:00 -0000", 0.0),
        ("", None),
        ("soon", None),
        ("1.5", None),
        ("7 seconds", None),
        ("Mon, 99 Nov 2026 99:00:00 GMT", None),
    ],
)
async def test_retry_after_is_limited(status: int, header: str, seconds: float | None) -> None:
    error = await refused_by(Answer(status, headers={"Retry-After": header}))
    assert error.retry_after == seconds


async def test_retry_after_may_be_an_instant() -> None:
    error = await refused_by(Answer(503, headers={"Retry-After": formatdate(time.time() + 600, usegmt=True)}))
    assert error.retry_after is not None
    assert 500 < error.retry_after <= 600


@pytest.mark.proves("webhook-clean-error")
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ""),
        (b"\r\n \n  the field\ttime is missing  \nsecond line", ": the field time is missing"),
        (b"bad\x1b[31m\x00 \x07news", ": bad [31m news"),
        (b"n\xc3\xb3 \xff", ": nó \N{REPLACEMENT CHARACTER}"),
        (b"left \xe2\x80\xae right", ": left right"),
        (b"x" * 1000, ": " + "x" * 199 + "…"),
        (b"\n" * 10_000 + b"too late", ""),
    ],
)
async def test_the_error_has_the_first_line_of_the_response_without_control_characters(
    body: bytes, expected: str
) -> None:
    assert str(await refused_by(Answer(400, body))) == f"webhook answered 400{expected}"
