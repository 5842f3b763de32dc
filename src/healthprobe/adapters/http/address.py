"""The address: the one URL that a user gave, its credentials taken out."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from yarl import URL

from healthprobe.domain.endpoint import InvalidEndpoint, masked, parse_endpoint
from healthprobe.ports import ConfigurationError

_QUERY_SAFE = "/?%:@!$&'()*+,;=~-._[]"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is asked: `url` without credentials, and the value of a Basic authorization header, or None.

    `name` and `origin` are how messages call it: neither holds the query, which may carry a token.
    """

    url: URL = field(repr=False)
    name: str
    authorization: str | None = field(default=None, repr=False)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return str(self.url.origin())


def parse_address(text: str) -> Address:
    """The address that `text` names, its path and query kept as they are. Raises ConfigurationError."""
    location, question_mark, query = text.partition("?")
    if "#" in query:
        raise ConfigurationError(f"{masked(location)} cannot be asked: it has a fragment (#)")
    try:
        endpoint = parse_endpoint(location)
    except InvalidEndpoint as error:
        raise ConfigurationError(f"{masked(location)} cannot be asked: {error}") from None
    closing = location[len(location.rstrip("/")) :]
    name = endpoint.url + closing
    # as written: a query that is signed, as those of clouds are, may not be spelled in another way
    url = URL(name + question_mark + quote(query, safe=_QUERY_SAFE), encoded=True)
    return Address(url, name, endpoint.authorization)
