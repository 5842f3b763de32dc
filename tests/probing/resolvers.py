"""Resolvers for tests that are not about names: one that was told, one that never answers, one that has a fault."""

from __future__ import annotations

import asyncio


class Told:
    """Knows these names, by their addresses, and must be asked for no other."""

    def __init__(self, addresses_of: dict[str, tuple[str, ...]]) -> None:
        self._addresses_of = addresses_of

    async def addresses(self, host: str) -> tuple[str, ...]:
        return self._addresses_of[host]

    async def aclose(self) -> None: ...


class NeverAnswering:
    """Its name servers are all away."""

    async def addresses(self, host: str) -> tuple[str, ...]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError(host)

    async def aclose(self) -> None: ...


class Faulty:
    """Raises what no engine can cause."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def addresses(self, host: str) -> tuple[str, ...]:
        raise self._error

    async def aclose(self) -> None: ...
