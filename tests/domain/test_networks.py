"""Which addresses may be probed: a record must not make the prober connect to a metadata service."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.networks import InvalidNetwork, Networks

DENIED = Networks.parse(deny=["169.254.0.0/16", "fd00:ec2::/32"])
ALLOWED = Networks.parse(allow=["10.0.0.0/8", "fd12::/16"], deny=["10.9.0.0/16"])


@pytest.mark.proves("network-spellings")
@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fd00:ec2::254",
        "fd00:ec2::254%eth0",
    ],
)
def test_a_denied_address_is_denied_in_every_embedding(address: str) -> None:
    refusal = DENIED.refusal(address)
    assert refusal is not None
    assert refusal.startswith(f"address {address} is not to be probed: --deny-network ")


@pytest.mark.proves("network-unspecified-address")
@pytest.mark.parametrize("address", ["0.0.0.0", "::", "::ffff:0.0.0.0", "64:ff9b::", "127.0.0.1", "::ffff:127.0.0.1"])
def test_the_unspecified_address_is_denied_with_loopback(address: str) -> None:
    assert Networks.parse(deny=["127.0.0.0/8"]).refusal(address) is not None
    assert Networks.parse(allow=["127.0.0.0/8"]).refusal(address) is None
    assert Networks.parse(allow=["10.0.0.0/8"]).refusal(address) is not None


@pytest.mark.proves("unix-socket-loopback")
@pytest.mark.parametrize("network", ["127.0.0.0/8", "127.0.0.1/32", "::1/128", "0.0.0.0/0", "::/0"])
def test_denying_loopback_denies_unix_sockets(network: str) -> None:
    assert (
        Networks.parse(deny=[network]).unix_socket_refusal
        == f"a unix socket is on this machine: --deny-network {network}"
    )


@pytest.mark.parametrize("address", ["169.253.0.1", "10.0.0.1", "::1", "::ffff:10.0.0.1"])
def test_without_allowed_networks_every_address_not_denied_is_allowed(address: str) -> None:
    assert DENIED.refusal(address) is None


@pytest.mark.parametrize(("address", "is_allowed"), [
    ("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("fd12::7", True),
    ("10.9.0.1", False), ("11.0.0.1", False), ("127.0.0.1", False), ("::1", False), ("nonsense", False),
])  # fmt: skip
def test_only_allowed_addresses_are_allowed_and_a_denial_wins(address: str, is_allowed: bool) -> None:  # noqa: FBT001
    assert (ALLOWED.refusal(address) is None) is is_allowed


def test_allowed_networks_do_not_include_unix_sockets() -> None:
    assert Networks().unix_socket_refusal is None
    assert DENIED.unix_socket_refusal is None
    assert ALLOWED.unix_socket_refusal is not None


@pytest.mark.parametrize("text", ["", "10", "10.0.0.0/33", "10.0.0.1/8", "example.com", "10.0.0.0/8 ", "::/129"])
def test_an_invalid_network_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidNetwork, match=r"write a network such as 10\.0\.0\.0/8"):
        Networks.parse(deny=[text])


@pytest.mark.proves("network-ipv4-in-ipv6")
@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_an_ipv4_address_embedded_in_ipv6_is_denied(address: IPv4Address, length: int) -> None:
    network = IPv4Network((address, length), strict=False)
    networks = Networks.parse(deny=[str(network)])
    for way in (str(address), f"::ffff:{address}", str(IPv6Address((0x64FF9B << 96) | int(address)))):
        assert networks.refusal(way) is not None


@given(st.text())
def test_a_text_that_is_not_an_address_is_never_allowed(address: str) -> None:
    try:
        ip_address(address.partition("%")[0])
    except ValueError:
        assert ALLOWED.refusal(address) is not None
