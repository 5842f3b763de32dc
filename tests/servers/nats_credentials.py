"""Credentials of a NATS operator: keys and signed claims by which a server accepts a user it does not know."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nkeys  # type: ignore[import-untyped]

_WITHOUT_LIMITS = {"subs": -1, "data": -1, "payload": -1}
_OF_A_SYSTEM = {**_WITHOUT_LIMITS, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
_OF_AN_ACCOUNT = {**_OF_A_SYSTEM, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}


@dataclass(frozen=True, slots=True)
class Credentials:
    """`config` is for the server's configuration, `words` for the user's file."""

    config: str
    words: str


class Signer:
    """A pair of keys, which signs claims."""

    def __init__(self, kind: int) -> None:
        self.seed = nkeys.encode_seed(secrets.token_bytes(32), kind)
        self._pair = nkeys.from_seed(bytearray(self.seed))
        self.name = bytes(self._pair.public_key).decode()

    def says(self, of: Signer, kind: str, **claims: Any) -> str:
        """Returns a JWT about `of`."""
        claim = {"type": kind, "version": 2, **claims}
        body = {"jti": secrets.token_hex(16), "iat": 1, "iss": self.name, "name": kind, "sub": of.name, "nats": claim}
        signed = f"{_encoded({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_encoded(body)}"
        return f"{signed}.{_base64(self._pair.sign(signed.encode()))}"


def credentials() -> Credentials:
    """Returns a new operator's credentials: an account with unlimited JetStream and one user with all permissions."""
    operator, user = Signer(nkeys.PREFIX_BYTE_OPERATOR), Signer(nkeys.PREFIX_BYTE_USER)
    account, system = Signer(nkeys.PREFIX_BYTE_ACCOUNT), Signer(nkeys.PREFIX_BYTE_ACCOUNT)
    of_user = account.says(user, "user", pub={}, sub={}, **_WITHOUT_LIMITS)
    config = (
        f"operator: {operator.says(operator, 'operator')}\nsystem_account: {system.name}\n"
        f"resolver: MEMORY\nresolver_preload {{\n"
        f"{account.name}: {operator.says(account, 'account', limits=_OF_AN_ACCOUNT)}\n"
        f"{system.name}: {operator.says(system, 'account', limits=_OF_A_SYSTEM)}\n}}"
    )
    words = (
        f"-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{bytes(user.seed).decode()}\n------END USER NKEY SEED------\n"
    )
    return Credentials(config, words)


def _encoded(document: Mapping[str, Any]) -> str:
    return _base64(json.dumps(document).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
