"""The networks that may be probed, so that a record cannot make the prober connect to any address it names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
_LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


class InvalidNetwork(ValueError):
    """A text that is not a network. The message says what to write."""


@dataclass(frozen=True, slots=True)
class Networks:
    """The addresses that may be probed: those in `allowed`, or all if it is empty, except those in `denied`.

    >>> Networks.parse(deny=["169.254.0.0/16"]).refusal("169.254.169.254")
    'address 169.254.169.254 is not to be probed: --deny-network 169.254.0.0/16'
    """

    allowed: tuple[Network, ...] = ()
    denied: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, allow: Iterable[str] = (), deny: Iterable[str] = ()) -> Networks:
        """Returns the networks written in CIDR notation. Raises InvalidNetwork."""
        return cls(tuple(map(parse_network, allow)), tuple(map(parse_network, deny)))

    @property
    def allow_all(self) -> bool:
        """Whether any address may be probed."""
        return not (self.allowed or self.denied)

    def refusal(self, address: str) -> str | None:
        """Returns why this address may not be probed, or None if it may.

        An IPv6 address that embeds an IPv4 address (mapped, NAT64, 6to4) counts as both. The unspecified address
        (0.0.0.0, ::) counts as loopback, because that is where the system connects to.
        """
        reached = _reached_addresses(address)
        if reached is None:
            return f"address {address} is not an IP address"
        for network in self.denied:
            if any(each in network for each in reached):
                return f"address {address} is not to be probed: --deny-network {network}"
        if self.allowed and not any(each in network for network in self.allowed for each in reached):
            return f"address {address} is not to be probed: it is in no --allow-network"
        return None

    @property
    def unix_socket_refusal(self) -> str | None:
        """Why no unix socket may be probed, or None if it may.

        A list of allowed networks does not include unix sockets, and denying loopback denies them too.
        """
        if self.allowed:
            return "a unix socket is in no --allow-network"
        for network in self.denied:
            if any(address in network for address in _LOOPBACK):
                return f"a unix socket is on this machine: --deny-network {network}"
        return None


def parse_network(text: str) -> Network:
    """Returns the network that `text` names. Raises InvalidNetwork.

    >>> parse_network("10.0.0.0/8")
    IPv4Network('10.0.0.0/8')
    """
    try:
        return ip_network(text)
    except ValueError as error:
        why = str(error).removeprefix(f"{text!r} ") if "host bits" not in str(error) else "has bits beyond its length"
        raise InvalidNetwork(f"{text!r} {why}: write a network such as 10.0.0.0/8 or fd00::/8") from None


def _reached_addresses(address: str) -> tuple[IPv4Address | IPv6Address, ...] | None:
    """Returns the address and those that a connection to it may reach, or None if it is no IP address."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    reached: tuple[IPv4Address | IPv6Address, ...] = (parsed,)
    if isinstance(parsed, IPv6Address):
        embedded = parsed.ipv4_mapped or parsed.sixtofour
        if embedded is None and parsed in _NAT64:
            embedded = IPv4Address(int(parsed) & 0xFFFFFFFF)
        reached = reached if embedded is None else (embedded, parsed)
    return (*_LOOPBACK, *reached) if any(each.is_unspecified for each in reached) else reached
