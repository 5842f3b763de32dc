"""A secret, named by the place that holds it: `env:NAME` is a variable of the environment, `file:PATH` a file."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from healthprobe.ports import ConfigurationError

MAX_BYTES = 16 * 1024

_KINDS = ("env", "file")
_OTHERS_OR_WRITABLE = 0o027
"""What nobody but the owner should have, save that a group may read: the service's own, in systemd and containers."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by its `place`. It is read when it is needed, so one that is replaced is used at once, and kept nowhere.

    `purpose` is what messages call it.
    """

    place: str
    purpose: str

    @classmethod
    def at(cls, place: str, purpose: str) -> Secret:
        """Returns the secret at `env:NAME` or `file:PATH`. Raises ConfigurationError, without `place`, for all else."""
        kind, _, name = place.partition(":")
        if kind not in _KINDS or not name:
            raise ConfigurationError(
                f"{purpose} is not the secret itself, which other users could read in the list of processes, but where "
                "it is: write env:NAME or file:PATH"
            )
        if not place.isprintable():
            raise ConfigurationError(f"{purpose}: the name of its variable or file has a control character in it")
        return cls(place, purpose)

    def read(self) -> str:
        """Returns the secret without blanks around it. Raises ConfigurationError, without the secret."""
        kind, _, name = self.place.partition(":")
        text = (os.environ.get(name, "") if kind == "env" else self._content(Path(name))).strip()
        if not text:
            empty = f"the variable {name} is not set, or empty" if kind == "env" else f"the file {name} is empty"
            raise ConfigurationError(f"{self.purpose}: {empty}")
        if not text.isprintable():
            raise ConfigurationError(f"{self.purpose}: {self.place} holds more than one line of plain text")
        return text

    def exposure(self) -> str:
        """Returns what is wrong with the permissions of the file, or an empty text."""
        kind, _, name = self.place.partition(":")
        if kind != "file":
            return ""
        try:
            mode = stat.S_IMODE(Path(name).stat().st_mode)
        except OSError:
            return ""
        if not mode & _OTHERS_OR_WRITABLE:
            return ""
        return f"the secret file {name} is open to others (mode {mode:04o}): chmod 600 {name}, or 640 for a group"

    def _content(self, path: Path) -> str:
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationError(f"{self.purpose}: {path} is not a regular file")
            if found.st_size > MAX_BYTES:
                raise ConfigurationError(f"{self.purpose}: {path} is larger than {MAX_BYTES // 1024} KiB")
            return path.read_bytes()[:MAX_BYTES].decode()
        except UnicodeDecodeError:
            raise ConfigurationError(f"{self.purpose}: {path} is not text in UTF-8") from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else "no such path"
            raise ConfigurationError(f"{self.purpose}: {path} cannot be read: {reason}") from None
