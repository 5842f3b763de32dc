"""Decodes bodies: the content encoding that an engine applied without being asked, and its charset."""

from __future__ import annotations

import codecs
import re
import zlib

_ENCODINGS = re.compile(rb"\r?\ncontent-encoding[ \t]*:([^\r\n]*)", re.IGNORECASE)
_CHARSET = re.compile(
    rb"\r?\ncontent-type[ \t]*:[^\r\n]*;[ \t]*charset[ \t]*=[ \t]*\"?([a-z0-9_\-]{1,20})", re.IGNORECASE
)
_MOST_ENCODINGS = 3
_GZIP, _ZLIB, _RAW = 31, 15, -15
"""What zlib calls the containers of its data."""

_CODECS = {
    **{name: name for name in ("utf-8", "utf-16", "utf-16le", "utf-16be", "utf-32", "us-ascii")},
    **{
        name: name for name in ("koi8-r", "koi8-u", "shift_jis", "euc-jp", "gb2312", "gbk", "gb18030", "big5", "euc-kr")
    },
    **{f"iso-8859-{number}": f"iso8859-{number}" for number in range(1, 17) if number != 12},
    **{f"windows-125{number}": f"cp125{number}" for number in range(9)},
    "latin1": "latin-1",
    "latin-1": "latin-1",
    "utf8": "utf-8",
}
"""The charsets that are known. Python has more names, some of them of codecs that are slow on purpose-made input."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class UndecodableBody(Exception):
    """The body has an encoding that is not known, or not the one that its head names."""


def decompress(head: bytes, body: bytes, limit: int, *, is_whole: bool) -> bytes:
    """Returns the first `limit` bytes of a body without its content encodings, gzip and deflate.

    Raises UndecodableBody, with a sentence that names the encoding. If not `is_whole`, its end may be missing.
    """
    names = [name.strip(b" \t").lower() for found in _ENCODINGS.finditer(head) for name in found[1].split(b",")]
    applied = [name for name in names if name not in {b"", b"identity"}]
    if len(applied) > _MOST_ENCODINGS:
        raise UndecodableBody(f"body is encoded more than {_MOST_ENCODINGS} times")
    for name in reversed(applied):
        shown = name.decode("latin-1")
        if name not in {b"gzip", b"x-gzip", b"deflate"}:
            raise UndecodableBody(f"body is encoded as {shown}, which was not asked for")
        try:
            if name == b"deflate":
                body, has_ended = _inflate(body, _ZLIB if _is_zlib(body) else _RAW, limit)
            else:
                body, has_ended = _inflate(body, _GZIP, limit)
        except zlib.error:
            raise UndecodableBody(f"body is not {shown}, although its Content-Encoding says so") from None
        if is_whole and not has_ended and len(body) < limit:
            raise UndecodableBody(f"body is {shown} without its end")
        is_whole = is_whole and has_ended
    return body


def to_text(head: bytes, body: bytes) -> str:
    """Returns a body as text: by its byte order mark, by the charset that its head names, or as UTF-8."""
    codec = next((codec for mark, codec in _BYTE_ORDER_MARKS if body.startswith(mark)), None)
    if codec is None:
        found = _CHARSET.search(head)
        codec = _CODECS.get(found[1].decode("ascii").lower(), "utf-8") if found else "utf-8"
    return body.decode(codec, "replace")


def _is_zlib(data: bytes) -> bool:
    """Returns whether data of the encoding deflate has the header of zlib, which some engines leave out."""
    return len(data) >= 2 and data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0


def _inflate(data: bytes, container: int, limit: int) -> tuple[bytes, bool]:
    """Returns the first `limit` bytes of the data, all members of gzip, and whether it has ended. Raises zlib.error."""
    inflated = bytearray()
    while True:
        stream = zlib.decompressobj(container)
        inflated += stream.decompress(data, limit - len(inflated))
        data = stream.unused_data
        if not stream.eof or not data or container != _GZIP or len(inflated) >= limit:
            return bytes(inflated), stream.eof
