"""The URL of one or several Alertmanagers, and how to log in there."""

from __future__ import annotations

import ssl
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import unquote

from healthprobe.domain.endpoint import masked
from healthprobe.http_client.address import Address, parse_address
from healthprobe.http_client.client import trusting
from healthprobe.http_client.secret import Secret
from healthprobe.ports import ConfigurationError

ALERTS_PATH = "/api/v2/alerts"

_SCHEMES = ("alertmanager+http", "alertmanager+https")
_FORM = "alertmanager+https://[USER@]HOST[:PORT][,HOST[:PORT]...][/PREFIX][?password=PLACE|?token=PLACE][&ca=PATH]"
_PARAMETERS = ("password", "token", "ca")


@dataclass(frozen=True, slots=True)
class Login:
    """What a request is authorized with: a password for `user`, a bearer token if there is no user, or nothing."""

    user: str
    secret: Secret | None

    def headers(self) -> dict[str, str]:
        """Returns the header for a request of now. Raises ConfigurationError if the secret cannot be read."""
        if self.secret is None:
            return {}
        secret = self.secret.read()
        if not self.user:
            return {"Authorization": f"Bearer {secret}"}
        return {"Authorization": "Basic " + b64encode(f"{self.user}:{secret}".encode()).decode()}


@dataclass(frozen=True, slots=True)
class Alertmanagers:
    """Alertmanagers by name, each with the address of its API; `login` and `tls` are for all of them."""

    addresses: dict[str, Address]
    login: Login
    tls: ssl.SSLContext | None


def parse_alertmanagers(text: str) -> Alertmanagers:
    """Returns the Alertmanagers of a URL. Raises ConfigurationError, without secrets."""
    if not text.isprintable():
        raise ConfigurationError("the URL of an Alertmanager has a control character in it")
    location, _, query = text.partition("?")
    scheme, separator, rest = location.partition("://")
    shown = masked(location)
    if scheme not in _SCHEMES or not separator:
        raise ConfigurationError(f"{shown} names no Alertmanager: write {_FORM}")
    authority, _, path = rest.partition("/")
    user, _, hosts = authority.rpartition("@")
    parameters = _parameters(query, shown)
    login = _login(user, parameters, shown)
    http = scheme.partition("+")[2]
    prefix = f"/{path}".rstrip("/").removesuffix(ALERTS_PATH).rstrip("/")
    addresses: dict[str, Address] = {}
    for host in hosts.split(","):
        if not host:
            raise ConfigurationError(f"{shown} has an empty host: write {_FORM}")
        try:
            address = parse_address(f"{http}://{host}{prefix}{ALERTS_PATH}")
        except ConfigurationError as error:
            raise ConfigurationError(f"{shown}: {error}") from None
        addresses[f"alertmanager+{address.name.removesuffix(ALERTS_PATH)}"] = address
    ca = parameters.get("ca")
    if ca is not None and http != "https":
        raise ConfigurationError(f"{shown} has a ca, which is for TLS: write alertmanager+https, or leave it out")
    return Alertmanagers(addresses, login, None if ca is None else trusting(ca))


def _parameters(query: str, shown: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if name not in _PARAMETERS:
            raise ConfigurationError(f"{shown} has an unknown parameter: use {', '.join(_PARAMETERS)}")
        if name in found or not value:
            raise ConfigurationError(f"{shown} has {name} {'twice' if name in found else 'without a value'}")
        found[name] = unquote(value)
        if not found[name].isprintable():
            raise ConfigurationError(f"{shown} has {name} with a control character in it")
    return found


def _login(user: str, parameters: dict[str, str], shown: str) -> Login:
    if ":" in user:
        raise ConfigurationError(
            f"{shown} has a password in it, which other users could read in the list of processes: "
            "write USER@HOST?password=env:NAME or ?password=file:PATH"
        )
    if "password" in parameters and "token" in parameters:
        raise ConfigurationError(f"{shown} has a password and a token: leave one out")
    if bool(user) != ("password" in parameters):
        missing = "a user but no password: add ?password=env:NAME" if user else "a password but no user: add USER@"
        raise ConfigurationError(f"{shown} has {missing}")
    name = "password" if user else "token"
    place = parameters.get(name)
    return Login(user, None if place is None else Secret.at(place, f"{name} of {shown}"))
