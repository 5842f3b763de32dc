"""The URL of a server, and its credentials apart from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from yarl import URL

from healthprobe.domain.endpoint import InvalidEndpoint, masked, parse_endpoint
from healthprobe.ports import ConfigurationError

_QUERY_SAFE = "/?%:@!$&'()*+,;=~-._[]"


@dataclass(frozen=True, slots=True)
class Address:
    """A URL without its credentials, and the value of the Basic authorization header for them, or None.

    Messages use `name` and `origin`, which are without the query: it may hold a token.
    """

    url: URL = field(repr=False)
    name: str
    authorization: str | None = field(default=None, repr=False)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return str(self.url.origin())


def parse_address(text: str) -> Address:
    """Returns the address in `text`, with its path and query as they are. Raises ConfigurationError."""
    location, question_mark, query = text.partition("?")
    if "#" in query:
        raise ConfigurationError(f"{masked(location)} cannot be asked: it has a fragment (#)")
    try:
        endpoint = parse_endpoint(location)
    except InvalidEndpoint as error:
        raise ConfigurationError(f"{masked(location)} cannot be asked: {error}") from None
    closing = location[len(location.rstrip("/")) :]
    name = endpoint.url + closing
    # encoded=True: clouds sign their queries as they are written
    url = URL(name + question_mark + quote(query, safe=_QUERY_SAFE), encoded=True)
    return Address(url, name, endpoint.authorization)
