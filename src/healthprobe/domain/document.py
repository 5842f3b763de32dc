"""Documents that are kept with the log: which ones it takes, and how those are read that another program altered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

LONGEST_NAME = 1_000
"""The most characters of a kind and of a key."""

LONGEST_DOCUMENT = 100_000
"""The most characters of a document."""

Content = TypeVar("Content")
_SHOWN = 80
_LONGEST_CAUSE = 200


def document_fault(kind: str, documents: Mapping[str, str | None]) -> str | None:
    """Returns why no log takes these documents, as one line that names the first such one, or None.

    >>> document_fault("silence", {"7": "{}"})
    >>> document_fault("silence", {"7": "{" * 100_001})
    "the document '7' of kind 'silence' is longer than 100000 characters"
    """
    if fault := _fault_of(kind, LONGEST_NAME):
        return f"the kind {_shown(kind)} {fault}"
    for key, document in documents.items():
        if fault := _fault_of(key, LONGEST_NAME):
            return f"the key {_shown(key)} of kind {_shown(kind)} {fault}"
        if document is not None and (fault := _fault_of(document, LONGEST_DOCUMENT)):
            return f"the document {_shown(key)} of kind {_shown(kind)} {fault}"
    return None


def text_of(value: object) -> str:
    """Returns a value of a store as text, with U+FFFD for what is no character.

    >>> text_of("game-7"), text_of(bytes([99, 97, 102, 233])), text_of(7)
    ('game-7', 'caf�', '7')
    """
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    text = value if isinstance(value, str) else str(value)
    return text if text.isascii() else text.encode(errors="surrogatepass").decode(errors="replace")


def read_documents(
    documents: Mapping[str, str], decode: Callable[[str], Content], noun: str
) -> tuple[dict[str, Content], list[str]]:
    """Returns what `decode` makes of each document, by key, and a line for each that it cannot read.

    Such a one was altered by another program, or is of a newer version: it is left out, and hides no other. `decode`
    raises ValueError, TypeError, LookupError or RecursionError for it. `noun` is what a document is to people.

    >>> read_documents({"a": "1", "b": "x"}, int, "silence")
    ({'a': 1}, ["the silence 'b' in the log cannot be read: invalid literal for int() with base 10: 'x'"])
    """
    read: dict[str, Content] = {}
    problems: list[str] = []
    for key, document in documents.items():
        try:
            read[key] = decode(document)
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            cause = " ".join(str(error).split())[:_LONGEST_CAUSE] or type(error).__name__
            problems.append(f"the {noun} {_shown(key)} in the log cannot be read: {cause}")
    return read, problems


def _fault_of(text: str, longest: int) -> str:
    if len(text) > longest:
        return f"is longer than {longest} characters"
    if "\0" in text:
        return "has a NUL character"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "has lone surrogates"
    return ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…")
