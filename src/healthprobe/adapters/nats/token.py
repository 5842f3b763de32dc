"""The token: any game id, or other name, as one part of a subject."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from hashlib import sha256

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,160}")
_LONGEST = 160


def token_of(name: str) -> str:
    """One word of letters, digits, `-`, `_` and `=`, another for every name; where that is possible, the name itself.

    What has other characters is base64 after one `=`, what would be longer than 160 characters its SHA-256 after two.

    >>> token_of("game-7"), token_of("игра 7"), token_of("x" * 300)[:12]
    ('game-7', '=0LjQs9GA0LAgNw==', '==0d4e2ca9e9')
    """
    if _PLAIN.fullmatch(name):
        return name
    encoded = name.encode("utf-8", "surrogatepass")
    token = f"={urlsafe_b64encode(encoded).decode()}"
    return token if len(token) <= _LONGEST else f"=={sha256(encoded).hexdigest()}"
