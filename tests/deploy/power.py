"""A disk whose power can be cut."""

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
    """No disk can be mounted here."""


class Disk:
    """An ext4 file system in the file `image`, mounted at `folder`; created if there is no such file.

    Raises NoDisk.
    """

    def __init__(self, image: Path, folder: Path, *, megabytes: int = 64) -> None:
        self.folder = folder
        self._image = image
        if not image.exists():
            with image.open("wb") as file:
                file.truncate(megabytes * 2**20)
            _run("mkfs.ext4", "-q", "-F", str(image))

    def __enter__(self) -> Self:
        self.folder.mkdir()
        _run("mount", "-o", "loop", str(self._image), str(self.folder))
        return self

    def __exit__(self, *_: object) -> None:
        _run("umount", "--lazy", str(self.folder))

    def cut_power(self) -> None:
        """Cuts the device off: no later write, nothing in the kernel's memory and no journal reaches it.

        File systems are tested for power cuts by this call. What has reached the device stays there.
        """
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NOLOGFLUSH))
        except OSError as error:
            raise NoDisk(f"the power cannot be cut: {error.strerror}") from error
        finally:
            os.close(folder)

    def copied_to(self, image: Path) -> Path:
        """Copies the device to `image`, byte for byte, while it is mounted and servers use it."""
        return shutil.copyfile(self._image, image)


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except OSError as error:
        raise NoDisk(f"{command[0]}: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        raise NoDisk((error.stderr.splitlines() or [command[0]])[0]) from error
