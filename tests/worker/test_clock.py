from __future__ import annotations

import asyncio


async def test_x() -> None:
    await asyncio.sleep(3600)
    print(asyncio.get_running_loop())


def test_y() -> None: ...


async def test_z() -> None:
    await asyncio.Event().wait()
