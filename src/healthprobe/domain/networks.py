"""The networks that may be probed: a record must not make the prober reach what it names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
_LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


class InvalidNetwork(ValueError):
    """What was written is no network. The message says what to write."""


@dataclass(frozen=True, slots=True)
class Networks:
    """Which addresses may be connected to: those of `allowed`, or all where it is empty, but none of `denied`.

    >>> Networks.of(deny=["169.254.0.0/16"]).refusal("169.254.169.254")
    'address 169.254.169.254 is not to be probed: --deny-network 169.254.0.0/16'
    """

    allowed: tuple[Network, ...] = ()
    denied: tuple[Network, ...] = ()

    @classmethod
    def of(cls, allow: Iterable[str] = (), deny: Iterable[str] = ()) -> Networks:
        """Networks as they are written, in CIDR notation. Raises InvalidNetwork."""
        return cls(tuple(map(parse_network, allow)), tuple(map(parse_network, deny)))

    @property
    def are_all(self) -> bool:
        """Whether any address will do."""
        return not (self.allowed or self.denied)

    def refusal(self, address: str) -> str | None:
        """Why nothing may be sent to this address, in words; None where it may be.

        An IPv6 address that leads to an IPv4 one (mapped, NAT64, 6to4) is that one, too, and the address of nobody
        (0.0.0.0, ::) is loopback: that is where the system connects to.
        """
        ways = _ways(address)
        if ways is None:
            return f"address {address} is none that can be judged"
        for network in self.denied:
            if any(way in network for way in ways):
                return f"address {address} is not to be probed: --deny-network {network}"
        if self.allowed and not any(way in network for network in self.allowed for way in ways):
            return f"address {address} is not to be probed: it is in no --allow-network"
        return None

    @property
    def refusal_of_sockets(self) -> str | None:
        """Why no socket of this machine may be opened, in words; None where it may be.

        Whoever says which networks there are to be probed has not said that this machine's sockets are, and whoever
        denies loopback has denied what listens there alone.
        """
        if self.allowed:
            return "a unix socket is in no --allow-network"
        for network in self.denied:
            if any(address in network for address in _LOOPBACK):
                return f"a unix socket is on this machine: --deny-network {network}"
        return None


def parse_network(text: str) -> Network:
    """The network that `text` names. Raises InvalidNetwork.

    >>> parse_network("10.0.0.0/8")
    IPv4Network('10.0.0.0/8')
    """
    try:
        return ip_network(text)
    except ValueError as error:
        told = str(error).removeprefix(f"{text!r} ") if "host bits" not in str(error) else "has bits beyond its length"
        raise InvalidNetwork(f"{text!r} {told}: write a network such as 10.0.0.0/8 or fd00::/8") from None


def _ways(address: str) -> tuple[IPv4Address | IPv6Address, ...] | None:
    """The address, and those that it leads to."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    ways: tuple[IPv4Address | IPv6Address, ...] = (parsed,)
    if isinstance(parsed, IPv6Address):
        embedded = parsed.ipv4_mapped or parsed.sixtofour
        if embedded is None and parsed in _NAT64:
            embedded = IPv4Address(int(parsed) & 0xFFFFFFFF)
        ways = ways if embedded is None else (embedded, parsed)
    return (*_LOOPBACK, *ways) if any(way.is_unspecified for way in ways) else ways
