"""Resolvers for tests: fixed addresses, no answer, or an error."""

from __future__ import annotations

import asyncio
from math import inf


class FixedAddresses:
    """Knows the addresses of these names. Raises KeyError for any other."""

    def __init__(self, addresses_of: dict[str, tuple[str, ...]], ttl: float = inf) -> None:
        self.addresses_of = addresses_of
        self._ttl = ttl

    async def addresses(self, host: str) -> tuple[str, ...]:
        return self.addresses_of[host]

    def holds_until(self, host: str) -> float:
        return asyncio.get_running_loop().time() + self._ttl

    async def aclose(self) -> None: ...


class NeverAnswering:
    """Never answers."""

    async def addresses(self, host: str) -> tuple[str, ...]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError(host)

    def holds_until(self, host: str) -> float:
        raise AssertionError(host)

    async def aclose(self) -> None: ...


class Faulty:
    """Raises an error that no engine can cause."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def addresses(self, host: str) -> tuple[str, ...]:
        raise self._error

    def holds_until(self, host: str) -> float:
        raise AssertionError(host)

    async def aclose(self) -> None: ...
