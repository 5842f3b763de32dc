"""The URL of a stream: its parameters, and messages without its password."""

from pathlib import Path

import pytest

from healthprobe.adapters.redis.address import DEFAULT_STREAM, StreamAddress
from healthprobe.adapters.redis.sentinel import Sentinels
from healthprobe.ports import ConfigurationError


def test_a_url_without_a_query_means_the_stream_of_the_reference_and_no_limit() -> None:
    address = StreamAddress.of_url("redis://127.0.0.1")
    assert (address.stream, address.maxlen) == (DEFAULT_STREAM, None)


def test_a_url_may_have_a_stream_and_a_limit() -> None:
    address = StreamAddress.of_url("redis://127.0.0.1:6380/2?stream=games%20%23%20one&maxlen=100000")
    assert (address.stream, address.maxlen) == ("games # one", 100_000)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://user:s3cr%40t@bus:6380/2?maxlen=5", "redis://bus:6380/2"),
        ("rediss://:secret@[::1]:6380", "rediss://[::1]:6380"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock"),
        (
            "rediss+sentinel://u:secret@s1:26380,s2/mymaster/0?sentinel_password=secret",
            "rediss+sentinel://s1:26380,s2/mymaster/0",
        ),
    ],
)
def test_it_is_shown_without_credentials(url: str, name: str) -> None:
    address = StreamAddress.of_url(url)
    assert address.name == name
    assert "s3cr" not in repr(address)
    assert "secret" not in repr(address)


def test_a_url_may_name_sentinels_and_the_primary_that_they_know() -> None:
    address = StreamAddress.of_url(
        "redis+sentinel://us%3Aer:p%40ss@s1,[::1]:26380/my%20master/2?stream=games&sentinel_password=word"
    )
    assert isinstance(address.server, Sentinels)
    assert (address.stream, address.server.master) == ("games", "my master")
    assert address.server.places == [("s1", 26379), ("::1", 26380)]
    assert address.server.to_primary == {"username": "us:er", "password": "p@ss", "db": 2}
    assert address.server.to_sentinels == {"username": None, "password": "word"}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://bus?maxlength=5", "'maxlength' is not known in its query; known are stream, maxlen"),
        ("redis://bus?socket_timeout=0", "'socket_timeout' is not known in its query; known are stream, maxlen"),
        ("redis://bus?ssl_ca_certs=/ca.pem", "'ssl_ca_certs' is not known in its query"),
        ("redis://bus?maxlen=5&maxlen=6", "twice"),
        ("redis://bus?maxlen=", "maxlen must be a positive number"),
        ("redis://bus?maxlen=0", "maxlen must be a positive number"),
        ("redis://bus?maxlen=-5", "maxlen must be a positive number"),
        ("redis://bus?maxlen=1e3", "maxlen must be a positive number"),
        ("redis://bus?maxlen=1000000000000000000000", "maxlen must be a positive number"),
        ("redis://bus?stream=", "stream is empty"),
        ("redis://bus/first", "number of a database"),
        ("redis://bus/1/2", "number of a database"),
        ("redis://bus?db=1", "'db' is not known in its query"),
        ("redis://", "no host"),
        ("redis:///0", "no host"),
        ("redis:bus", "no host"),
        ("redis://bus:0", "no port"),
        ("redis://bus:port", "cannot be read"),
        ("redis://[::1", "cannot be read"),
        ("redis://bus/0#5", "%23"),
        ("unix://run/redis.sock", "whole path"),
        ("unix://", "whole path"),
        ("unix:///run/redis.sock?db=one", "number of a database"),
        ("rediss://bus?ssl_ca_certs=/nowhere/ca.pem", "ssl_ca_certs cannot be read: No such file or directory"),
        ("redis+sentinel://s1,s2", "names no primary; write redis+sentinel://"),
        ("redis+sentinel://s1,,s2/mymaster", "a Sentinel without host or port"),
        ("redis+sentinel:///mymaster", "a Sentinel without host or port"),
        ("redis+sentinel://s1:port/mymaster", "a Sentinel without host or port"),
        ("redis+sentinel://s1,[::1/mymaster", "cannot be read"),
        ("redis+sentinel://s1/mymaster/zero", "the number of a database, as in /mymaster/0"),
        ("redis+sentinel://s1/mymaster?key=secret", "'key' is not known in its query"),
        ("http://bus", "names no Redis server; write redis://"),
    ],
)
def test_an_invalid_url_is_refused_in_one_line_that_says_what_to_change(url: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        StreamAddress.of_url(url)
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["redis://u:sec/ret@bus", "redis://u:sec#ret@bus", "redis://u:sec?ret@bus", "redis://u:sec[ret@bus"]
)
def test_a_password_that_breaks_the_url_is_not_shown_in_the_refusal(url: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        StreamAddress.of_url(url)
    assert "sec" not in str(refusal.value)
    assert "ret" not in str(refusal.value)


def test_a_readable_certificate_file_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    assert "ca.pem" in str(StreamAddress.of_url(f"rediss://bus?ssl_ca_certs={tmp_path}/ca.pem").server)
