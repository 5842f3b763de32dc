"""The URL of a NATS cluster: what it may say, the credentials in it, and that no message shows a password."""

from __future__ import annotations

import pytest

from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.ports import ConfigurationError


def test_a_user_with_a_password_is_for_all_servers_and_may_hold_any_sign() -> None:
    address = NatsAddress.of_url("nats://health%40probe:p%2Fw%3A%23@n1,n2:4333/BUCKET?prefix=p&replicas=3&shards=512")
    assert address.credentials == {"user": "health@probe", "password": "p/w:#"}
    assert (address.prefix, address.bucket, address.replicas, address.shards) == ("p", "BUCKET", 3, 512)
    assert address.name == "nats://n1,n2:4333/BUCKET"
    assert "p%2Fw" not in repr(address)


def test_a_user_without_a_password_is_a_token() -> None:
    address = NatsAddress.of_url("nats://s%2Fecret@n1")
    assert address.credentials == {"token": "s/ecret"}
    assert "ecret" not in repr(address)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nats://", "it names no host or no port"),
        ("nats://n1,,n2", "it names no host or no port"),
        ("nats://n1:0", "it names no host or no port"),
        ("nats://n1/a.b", "the name of its bucket"),
        ("nats://me:pass/word@n1", "/ ? # @ in a password percent-encoded"),
        ("nats://n1?prefix=a.b", "prefix is letters, digits"),
        ("nats://n1?prefix=a&prefix=b", "gives a name twice"),
        ("nats://n1?replicas=2", "replicas is one of"),
        ("nats://n1?shards=0", "shards is a number from 1 to 4096"),
        ("nats://n1?shards=4097", "shards is a number from 1 to 4096"),
        ("nats://n1?shards=many", "shards is a number from 1 to 4096"),
        ("nats://n1?shards=", "shards is a number from 1 to 4096"),
        ("nats://n1?creds=/nowhere", "creds names no file: /nowhere"),
        ("nats://n1?retries=3", "'retries' is not known in its query"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^nats://") as refused:
        NatsAddress.of_url(url)
    assert told in str(refused.value)
