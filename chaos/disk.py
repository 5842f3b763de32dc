"""The disk: a small file system that can be filled."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

_BLOCK = bytes(4096)


class CannotMount(Exception):
    """This machine does not allow mounting a file system."""


class SmallDisk:
    """A small file system, mounted at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """Keeps the disk full inside the context: what others free is taken again at once."""
        ballast = self.folder / "ballast"
        filling = asyncio.create_task(_keep_filling(ballast))
        try:
            yield
        finally:
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)
            ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[SmallDisk]:
    """Mounts a disk of `mebibytes` at a new `folder`. Raises CannotMount."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "healthprobe-chaos", str(folder)]
    try:
        refusal = subprocess.run(mount, capture_output=True, text=True, check=False).stderr.strip()
    except OSError as error:
        refusal = str(error)
    if refusal:
        raise CannotMount(refusal)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def _keep_filling(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        while True:
            with suppress(OSError):
                while file.write(_BLOCK):
                    pass
            await asyncio.sleep(0.01)
