"""The power: a disk of a test's own, and what stands on it after a power cut."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Self

_EXT4_IOC_SHUTDOWN = 0x8004587D
_NOLOGFLUSH = 2


class NoDisk(Exception):
    """A disk of our own cannot be mounted here."""


class Disk:
    """An ext4 file system in the file `image`, mounted as a device at `folder`; a new one where there is no such file.

    Raises NoDisk.
    """

    def __init__(self, image: Path, folder: Path, *, megabytes: int = 64) -> None:
        self.folder = folder
        self._image = image
        if not image.exists():
            with image.open("wb") as file:
                file.truncate(megabytes * 2**20)
            _obeyed("mkfs.ext4", "-q", "-F", str(image))

    def __enter__(self) -> Self:
        self.folder.mkdir()
        _obeyed("mount", "-o", "loop", str(self._image), str(self.folder))
        return self

    def __exit__(self, *_: object) -> None:
        _obeyed("umount", "--lazy", str(self.folder))

    def cut_power(self) -> None:
        """From now on nothing reaches the device: no write, nothing that the kernel has in memory, not its journal.

        It is the call by which file systems are tested for power cuts. What has reached the device stays there: it is a
        disk that loses nothing of its own.
        """
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NOLOGFLUSH))
        except OSError as error:
            raise NoDisk(f"its power cannot be cut: {error.strerror}") from error
        finally:
            os.close(folder)

    def copied_to(self, image: Path) -> Path:
        """A copy of what stands on the device, byte for byte, though it is mounted and servers run on it."""
        return shutil.copyfile(self._image, image)


def _obeyed(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except OSError as error:
        raise NoDisk(f"{command[0]}: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        raise NoDisk((error.stderr.splitlines() or [command[0]])[0]) from error
