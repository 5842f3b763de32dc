"""The signature: what proves to a webhook that a message is ours, as the Standard Webhooks specification has it."""

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
    """Signs messages with a key that it never shows."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def headers(self, event_id: str, seconds: int, body: bytes) -> dict[str, str]:
        """The three headers of an attempt made `seconds` after the epoch: identifier, time, signature."""
        identifier = webhook_id(event_id)
        digest = hmac.digest(self._key, f"{identifier}.{seconds}.".encode() + body, "sha256")
        return {
            "webhook-id": identifier,
            "webhook-timestamp": str(seconds),
            "webhook-signature": f"v1,{b64encode(digest).decode()}",
        }


def signer_of(secret: str) -> Signer:
    """The signer whose key is `secret`: base64 after `whsec_`, as the standard writes it, else the text's own bytes.

    Raises ConfigurationError where that gives no key.
    """
    try:
        key = b64decode(secret.removeprefix(_PREFIX), validate=True) if secret.startswith(_PREFIX) else secret.encode()
    except (binascii.Error, ValueError):
        raise ConfigurationError("the webhook secret begins with whsec_, and base64 does not follow") from None
    if not key:
        raise ConfigurationError("the webhook secret is empty: give one, or leave it out to send without a signature")
    return Signer(key)


def webhook_id(event_id: str) -> str:
    """The event's id as a header can hold it, the same at every attempt: `game 7.b:3` becomes `game%207%2Eb:3`.

    Percent-encoded but for the colon, and so are full stops: one could be taken for the end of the id in the signed
    text. An id that would be longer than 256 characters is told by its SHA-256 instead: `sha256:…`, in hexadecimal.
    """
    encoded = quote(event_id, safe=":").replace(".", "%2E")
    return encoded if len(encoded) <= _LONGEST_ID else f"sha256:{sha256(event_id.encode()).hexdigest()}"
