"""Names of URLs are stable and hold no secrets."""

from __future__ import annotations

import pytest

from healthprobe.app.url_names import notification_name, publisher_name, records_name, scheme_of, shown


@pytest.mark.proves("url-credentials")
@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://user:secret@db/games", "postgresql://***@db/games"),
        ("postgresql://db/games?user=me&password=secret", "postgresql://db/games"),
        ("https://hook/path?token=secret", "https://hook/path"),
        ("https://us@er:sec@ret@hook/", "https://***@hook/"),
        ("http://host/hook?to=a@b&token=secret", "http://host/hook"),
        ("sqlite:folder@home/games.db", "sqlite:folder@home/games.db"),
        ("file:what?.json", "file:what?.json"),
        ("stdout:", "stdout:"),
    ],
)
def test_credentials_and_tokens_of_a_url_are_not_shown(url: str, told: str) -> None:
    assert shown(url) == told
    assert scheme_of(url) == url.split(":", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://user:old@hook/", "https://user:new@hook/"),
        ("redis://:old@bus/0?stream=health", "redis://:new@bus/0?stream=health"),
        ("redis://bus/0?stream=health&maxlen=100", "redis://bus/0?maxlen=999&stream=health"),
        ("rediss://bus/0?ssl_ca_certs=/old.pem", "rediss://bus/0"),
        ("redis://bus", "redis://:first@bus:6379/0"),
        ("https://hook/?token=old", "https://hook:443/?token=new"),
        ("https://hook/#ops", "https://user:first@hook/?token=new#ops"),
    ],
)
def test_the_name_of_a_relay_does_not_depend_on_password_or_limit(before: str, after: str) -> None:
    assert publisher_name(before) == publisher_name(after)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://hook/?room=1#one", "https://hook/?room=2#two"),
        ("https://hook/", "https://hook/?room=2#two"),
        ("https://hook/one", "https://hook/two"),
        ("https://hook/", "https://hook:8443/"),
        ("redis://bus:6380", "redis://bus"),
        ("https://hook/", "http://hook/"),
        ("redis://bus/0", "redis://bus/1"),
        ("redis://bus/0?stream=a", "redis://bus/0?stream=b"),
        ("redis://bus/0?stream=a", "redis://bus/0"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=2"),
        ("file:one.jsonl", "file:two.jsonl"),
        ("acme://bus/?topic=a", "acme://bus/?topic=b"),
        ("acme://bus/?stream=a&topic=a", "acme://bus/?stream=a&topic=b"),
    ],
)
def test_two_buses_have_two_relays(one: str, other: str) -> None:
    assert publisher_name(one) != publisher_name(other)


def test_a_token_in_a_query_is_in_no_name() -> None:
    assert "secret" not in publisher_name("https://hook/?token=secret")
    assert "secret" not in publisher_name("https://hook/?to=a@b&token=secret")
    assert "secret" not in publisher_name("acme://user:secret@bus/?key=secret")
    assert "secret" not in publisher_name("redis://:secret@bus/0?stream=health&token=secret")


def test_two_notifications_have_different_names_without_secrets() -> None:
    one, other = notification_name("slack://A/B/C/#on-call"), notification_name("slack://A/B/C/#managers")
    assert one != other
    assert "A/B/C" not in one + other
    assert all(name.startswith("slack:") and len(name) == len("slack:") + 8 for name in (one, other))


def test_the_name_of_a_notification_does_not_depend_on_its_password() -> None:
    assert notification_name("mailto://me:old@example.org") == notification_name("mailto://me:new@example.org")
    assert notification_name("mailto://me:old@example.org") != notification_name("mailto://you:old@example.org")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("nats://n1,n2,n3/games", "nats://healthprobe:secret@n3,n1/games?replicas=3"),
        ("nats://n1", "tls://n2/health_runtime_records?ca=/etc/ca.pem"),
        ("nats://n1?prefix=acme", "nats://n1/acme_runtime_records"),
        ("postgresql://one:secret@db/platform", "postgresql://other@db/platform?sslmode=require"),
        ("postgres://one:secr@et@db1,db2/platform", "postgresql+psycopg://other@db2,db1/platform"),
    ],
)
def test_the_name_of_records_does_not_depend_on_server_order_or_user(one: str, other: str) -> None:
    assert records_name(one) == records_name(other)
    assert "secret" not in records_name(one) + records_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("nats://n1/games", None), ("nats://n1/others", None)),
        (("nats://n1", None), ("nats://n1?prefix=acme", None)),
        (("file:games.json", None), ("file:others.json", None)),
        (("postgresql://db/platform", "SELECT 1"), ("postgresql://db/platform", "SELECT 2")),
        (("postgresql://db/platform", "SELECT 1"), ("postgresql://db/platform", None)),
    ],
)
def test_other_games_have_another_name(one: tuple[str, str | None], other: tuple[str, str | None]) -> None:
    assert records_name(*one) != records_name(*other)
