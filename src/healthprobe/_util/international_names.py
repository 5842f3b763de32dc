"""International names as the name servers have them: IDNA 2008, as UTS 46 processes it without transition."""

from __future__ import annotations


def ascii_name(name: str) -> str:
    """Returns the ASCII form of a name. Raises UnicodeError for one that is not valid.

    >>> ascii_name("faß.example")  # IDNA 2003 would ask for fass.example, another domain
    'xn--fa-hia.example'
    """
    import idna  # noqa: PLC0415  its tables are large, and most names are ASCII

    mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
    return ".".join(label if label.isascii() else _ascii_label(label) for label in mapped.split("."))


def _ascii_label(label: str) -> str:
    import idna  # noqa: PLC0415

    try:
        return idna.alabel(label).decode("ascii")
    except idna.InvalidCodepoint:  # a symbol, which UTS 46 lets pass: ☃.example has an address
        return f"xn--{label.encode('punycode').decode('ascii')}"
