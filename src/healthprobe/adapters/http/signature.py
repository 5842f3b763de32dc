"""Signs messages as the Standard Webhooks specification says."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from hashlib import sha256
from urllib.parse import quote

from healthprobe.ports import ConfigurationError

_PREFIX = "whsec_"
_LONGEST_ID = 256


class Signer:
    """Signs messages with a key."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def headers(self, identifier: str, seconds: int, body: bytes) -> dict[str, str]:
        """Returns the three headers of an attempt made `seconds` after the epoch: identifier, time, signature."""
        digest = hmac.digest(self._key, f"{identifier}.{seconds}.".encode() + body, "sha256")
        return {
            "webhook-id": identifier,
            "webhook-timestamp": str(seconds),
            "webhook-signature": f"v1,{b64encode(digest).decode()}",
        }


def signer_of(secret: str) -> Signer:
    """Returns a signer with the key in `secret`: base64 after `whsec_`, otherwise the bytes of the text.

    Raises ConfigurationError if there is no key in it.
    """
    try:
        key = b64decode(secret.removeprefix(_PREFIX), validate=True) if secret.startswith(_PREFIX) else secret.encode()
    except (binascii.Error, ValueError):
        raise ConfigurationError("the webhook secret begins with whsec_, and base64 does not follow") from None
    if not key:
        raise ConfigurationError("the webhook secret is empty: give one, or leave it out to send without a signature")
    return Signer(key)


def webhook_id(event_id: str, source: str) -> str:
    """Returns the identifier of an event among those of all logs, as a header may hold it, the same at every attempt.

    The id of `game 7.b:3` from `/healthprobe/…` is `game%207%2Eb:3@/healthprobe/…`. All else is percent-encoded, full
    stops too: in the signed text a full stop ends the identifier. One longer than 256 characters becomes its SHA-256 in
    hexadecimal: `sha256:…`.
    """
    encoded = f"{_encoded(event_id, ':')}@{_encoded(source, ':/')}"
    return encoded if len(encoded) <= _LONGEST_ID else f"sha256:{sha256(encoded.encode()).hexdigest()}"


def _encoded(text: str, safe: str) -> str:
    return quote(text, safe=safe).replace(".", "%2E")
