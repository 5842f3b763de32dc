"""The URL of PagerDuty's events: which host, and where the integration key is kept."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from healthprobe.domain.endpoint import masked
from healthprobe.http_client.address import Address, parse_address
from healthprobe.http_client.secret import Secret
from healthprobe.ports import ConfigurationError

HOST = "events.pagerduty.com"
EVENTS_PATH = "/v2/enqueue"

_FORM = "pagerduty:env:NAME, pagerduty:file:PATH or pagerduty://HOST?key=PLACE"
_KEY_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Service:
    """A service of PagerDuty: `address` is that of its events, `key` its integration key. `name` has no secrets."""

    name: str
    address: Address
    key: Secret

    def routing_key(self) -> str:
        """Returns the integration key. Raises ConfigurationError, without the key."""
        key = self.key.read()
        if len(key) != _KEY_LENGTH or not (key.isascii() and key.isalnum()):
            raise ConfigurationError(
                f"{self.key.purpose}: {self.key.place} does not hold an integration key of Events API v2, which has "
                f"{_KEY_LENGTH} letters and digits"
            )
        return key


def parse_service(text: str) -> Service:
    """Returns the service of a URL. Raises ConfigurationError, without secrets."""
    if not text.isprintable():
        raise ConfigurationError("the URL of PagerDuty has a control character in it")
    scheme, _, rest = text.partition(":")
    if scheme not in {"pagerduty", "pagerduty+http"}:
        raise ConfigurationError(f"{masked(text.partition('?')[0])} names no service of PagerDuty: write {_FORM}")
    http = "http" if scheme == "pagerduty+http" else "https"
    place = rest.removeprefix("//")
    location = HOST
    if not place.startswith(("env:", "file:")):
        if not rest.startswith("//"):
            raise ConfigurationError(f"{scheme}: names no secret: write {_FORM}")
        location, _, query = place.partition("?")
        name, _, value = query.partition("=")
        if name != "key" or not value or "&" in value:
            raise ConfigurationError(f"{scheme}://… needs ?key=PLACE and nothing else: write {_FORM}")
        place = unquote(value)
    if "@" in location:
        raise ConfigurationError(f"{scheme}://{masked(location)} has credentials, and needs none: write {_FORM}")
    key = Secret.at(place, "the PagerDuty key")
    host = location.rstrip("/").removesuffix(EVENTS_PATH) or HOST
    address = parse_address(f"{http}://{host}{EVENTS_PATH}")
    is_default = http == "https" and host == HOST
    return Service(f"pagerduty:{place}" if is_default else f"{scheme}://{host}?key={place}", address, key)
