"""Secrets, which are named by where they are: `env:NAME`, an environment variable, or `file:PATH`."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

ENV = "env:"
FILE = "file:"

_LONGEST = 64 * 1024
_OTHERS = stat.S_IROTH | stat.S_IWOTH
_ADVICE = {
    FileNotFoundError: "there is no such file: create it, or correct the path",
    PermissionError: "it may not be read: change its permissions",
    IsADirectoryError: "it is a folder: name a file in it",
}


@dataclass(frozen=True, slots=True)
class Secret:
    """The value of a secret, and a warning if others can read it too."""

    value: str = field(repr=False)
    warning: str | None = None


def is_reference(text: str) -> bool:
    """Whether `text` says where a secret is."""
    return text.startswith((ENV, FILE))


def read_secret(reference: str) -> Secret:
    """Returns the secret at `env:NAME` or `file:PATH`, without the line break at the end of a file.

    Raises ValueError, which says what to change and never has the secret in it.
    """
    if reference.startswith(ENV):
        name = reference.removeprefix(ENV)
        if not (value := os.environ.get(name, "")):
            raise ValueError(f"{reference}: the variable {name} is {'empty' if name in os.environ else 'not set'}")
        return Secret(value)
    if not reference.startswith(FILE):
        raise ValueError("a secret is written env:NAME or file:PATH, so that it is not in this place")
    if "\0" in reference or reference == FILE:
        raise ValueError("file: names no file: write file:PATH")
    return _read_file(reference, Path(reference.removeprefix(FILE)))


def _read_file(reference: str, path: Path) -> Secret:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise ValueError(f"{reference}: {_ADVICE.get(type(error)) or error.strerror or error}") from None
    try:
        value = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"{reference}: it is not UTF-8 text") from None
    if not value or len(content) > _LONGEST or not value.isprintable():
        why = (
            "it is empty"
            if not value
            else "it is longer than 64 KiB"
            if len(content) > _LONGEST
            else "it is not one line"
        )
        raise ValueError(f"{reference}: {why}: write the secret in it, and nothing else")
    warning = None
    if mode & _OTHERS:
        warning = f"{reference}: every user of this machine can read it (mode {mode:04o}): chmod o= {path}"
    return Secret(value, warning)
