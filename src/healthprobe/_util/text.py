"""Text for people: cut to a length, and made printable."""

from __future__ import annotations

ELLIPSIS = "…"


def shorten(text: str, longest: int) -> str:
    """Returns the text, or its beginning and an ellipsis, `longest` characters in all.

    >>> shorten("game-7", 6), shorten("game-17", 6)
    ('game-7', 'game-…')
    """
    return text if len(text) <= longest else text[: longest - 1] + ELLIPSIS


def shorten_bytes(text: str, longest: int) -> str:
    """Returns the text, or its beginning and an ellipsis, at most `longest` bytes of UTF-8. No character is cut in two.

    >>> shorten_bytes("игра-7", 10), shorten_bytes("игра-17", 10)
    ('игра-7', 'игр…')
    """
    if len(text) * 4 <= longest:
        return text
    encoded = text.encode()
    if len(encoded) <= longest:
        return text
    return encoded[: longest - len(ELLIPSIS.encode())].decode(errors="ignore") + ELLIPSIS


def printable(text: str, substitute: str = "\N{REPLACEMENT CHARACTER}") -> str:
    """Returns the text with `substitute` for every character that is not printable, such as a terminal's controls."""
    return text if text.isprintable() else "".join(each if each.isprintable() else substitute for each in text)


def quoted(text: str, longest: int = 60) -> str:
    """Returns the text on one line in quotation marks, shortened to `longest` characters."""
    return f"“{shorten(printable(text, '?'), longest)}”"


def counted(count: int, noun: str) -> str:
    """Returns a count of a noun.

    >>> counted(1, "probe"), counted(2000, "probe")
    ('1 probe', '2,000 probes')
    """
    return f"{count} {noun}" if count == 1 else f"{count:,} {noun}s"
