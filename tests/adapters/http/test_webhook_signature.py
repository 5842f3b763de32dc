"""The signature: a receiver can verify messages as the Standard Webhooks specification says."""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import unquote

import pytest
from tests.adapters.http.webhooks import refused, webhook
from tests.servers.web import ACCEPTED, Answer, in_turn

from healthprobe.adapters.http import WebhookPublisher
from healthprobe.adapters.http.signature import signer_of, webhook_id
from healthprobe.ports import ConfigurationError
from healthprobe.testing.contracts.samples import ODD_GAME_IDS, failed, history

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def verify(headers: Mapping[str, str], body: bytes, key: bytes = KEY) -> None:
    """Verifies a message as the README says."""
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 300
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert any(hmac.compare_digest(f"v1,{expected}", each) for each in headers["webhook-signature"].split())


@pytest.mark.proves("webhook-signed")
async def test_every_message_is_signed_so_that_a_receiver_can_verify_it() -> None:
    async with webhook(secret=SECRET) as (server, publisher):
        await publisher.publish([failed(game_id, 1) for game_id in ODD_GAME_IDS])
    assert len(server.asked) == len(ODD_GAME_IDS)
    for asked in server.asked:
        verify(asked.headers, asked.body)


@pytest.mark.proves("webhook-tampered")
async def test_a_message_that_was_tampered_with_does_not_pass() -> None:
    async with webhook(secret=SECRET) as (server, publisher):
        await publisher.publish(history("game-7", 2))
    first, second = server.asked
    with pytest.raises(AssertionError):
        verify(first.headers, first.body.replace(b"game-7", b"game-8"))
    with pytest.raises(AssertionError):
        verify({**first.headers, "webhook-id": second.headers["webhook-id"]}, first.body)
    with pytest.raises(AssertionError):
        verify(first.headers, first.body, key=b"another")


def test_the_signature_is_that_of_the_specification_s_own_libraries() -> None:
    signer = signer_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


async def test_a_secret_without_a_prefix_is_the_key() -> None:
    async with webhook(secret="pässword.") as (server, publisher):
        await publisher.publish(history("game-7", 1))
    verify(server.asked[0].headers, server.asked[0].body, key="pässword.".encode())


async def test_without_a_secret_nothing_is_signed() -> None:
    async with webhook() as (server, publisher):
        await publisher.publish(history("game-7", 1))
    assert not [name for name in server.asked[0].headers if name.lower().startswith("webhook-")]


async def test_each_attempt_has_the_event_s_own_id_and_the_time_of_the_attempt() -> None:
    before = int(time.time())
    async with webhook(in_turn(Answer(503), ACCEPTED), secret=SECRET) as (server, publisher):
        await refused(publisher)
        await publisher.publish(history("game-7", 1))
    assert [asked.headers["webhook-id"] for asked in server.asked] == ["game-7:1@/healthprobe"] * 2
    assert all(before <= int(asked.headers["webhook-timestamp"]) <= time.time() for asked in server.asked)


async def test_two_logs_have_different_ids_for_events_of_the_same_name() -> None:
    async with webhook(secret=SECRET) as (server, publisher):
        for source in ("/healthprobe/1", "/healthprobe/2", "https://a.example/x y"):
            publisher.set_source(source)
            await publisher.publish(history("game-7", 1))
    ids = [asked.headers["webhook-id"] for asked in server.asked]
    assert ids == [
        "game-7:1@/healthprobe/1",
        "game-7:1@/healthprobe/2",
        "game-7:1@https://a%2Eexample/x%20y",
    ]
    assert {asked.document["id"] for asked in server.asked} == {"game-7:1"}
    for asked in server.asked:
        verify(asked.headers, asked.body)


async def test_an_odd_game_id_is_percent_encoded_or_too_long_and_hashed_and_always_its_own() -> None:
    async with webhook(secret=SECRET) as (server, publisher):
        await publisher.publish([failed(game_id, 1) for game_id in (*ODD_GAME_IDS, "a.b", "a@b", "y" * 300)])
    ids = {asked.document["id"]: asked.headers["webhook-id"] for asked in server.asked}
    assert len(set(ids.values())) == len(ids)
    for event_id, identifier in ids.items():
        assert identifier.isascii()
        assert "." not in identifier
        if len(event_id) > 230:
            assert identifier == f"sha256:{hashlib.sha256(f'{event_id}@/healthprobe'.encode()).hexdigest()}"
        else:
            assert unquote(identifier) == f"{event_id}@/healthprobe"


def test_spaces_full_stops_and_the_at_sign_are_encoded_and_the_colon_is_not() -> None:
    assert webhook_id("game 7.b@c:3", "urn:x") == "game%207%2Eb%40c:3@urn:x"


def test_no_two_events_of_two_sources_share_an_id() -> None:
    assert webhook_id("a:1", "b@c") != webhook_id("a:1@b", "c")
    assert webhook_id("y" * 300, "/1") != webhook_id("y" * 300, "/2")


@pytest.mark.proves("webhook-secret")
@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        ("", "the webhook secret is empty: give one, or leave it out to send without a signature"),
        ("whsec_", "the webhook secret is empty: give one, or leave it out to send without a signature"),
        ("whsec_not base64!", "the webhook secret begins with whsec_, and base64 does not follow"),
        ("whsec_ñ", "the webhook secret begins with whsec_, and base64 does not follow"),
    ],
)
def test_a_secret_without_a_key_is_refused_and_not_shown(secret: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        WebhookPublisher.of_url("http://127.0.0.1:1/", secret=secret)
    assert str(refusal.value) == expected
