"""Reads heads and chunks that the strict parser refuses, although curl and Go's net/http both accept them."""

from __future__ import annotations

import re
from collections.abc import Callable

from healthprobe.probing.errors import MalformedResponse

CHUNK_LINE_LIMIT = 4096
"""The longest line with the size of a chunk, in bytes, as in Go."""

TRAILER_LIMIT = 64 * 1024
"""The longest trailer in bytes."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_STATUS_LINE = re.compile(rb"(HTTP/1\.[01]) +([1-9][0-9]{2})(?: [^\r\x00]*)?")
_STATUS_LINE_SO_FAR = re.compile(rb"HTTP/1\.[01] *(?:[1-9][0-9]?|[1-9][0-9]{2}(?: [^\r\x00]*)?)?\r?")
_NAME = re.compile(_TOKEN + rb"(?: +" + _TOKEN + rb")* *")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r]*)?")
_BLANKS = b" \t"


class LenientHead:
    """Rewrites a head for the strict parser: unfolded lines, names without spaces, one length.

    Folded lines are joined by a space (RFC 9112, 5.2). Header names with a space in them mean nothing. The same
    Content-Length twice is one, and none beside a Transfer-Encoding, after which the connection cannot be kept.
    """

    __slots__ = ("_headers", "_status_line", "_unread")

    def __init__(self) -> None:
        self._status_line = self._unread = b""
        self._headers: list[tuple[bytes, bytes]] = []

    def feed(self, data: bytes) -> bytes | None:
        """Returns the rewritten head, and what follows it, once the head has ended.

        Raises MalformedResponse at the first line that is refused, without a message for a status line.
        """
        unread, start = self._unread + data, 0
        while (end := unread.find(b"\n", start)) >= 0:
            line = unread[start:end].removesuffix(b"\r")
            start = end + 1
            if line:
                self._add(line)
            elif not self._status_line:
                raise MalformedResponse
            else:
                return self._rewritten() + unread[start:]
        self._unread = unread[start:]
        if not self._status_line and not _STATUS_LINE_SO_FAR.fullmatch(self._unread):
            raise MalformedResponse
        if self._status_line and _CONTROL.search(self._unread.removesuffix(b"\r")):
            raise MalformedResponse("a control character in a header")
        return None

    def _add(self, line: bytes) -> None:
        if not self._status_line:
            found = _STATUS_LINE.fullmatch(line)
            if found is None:
                raise MalformedResponse
            self._status_line = found[1] + b" " + found[2] + b" -"
            return
        if _CONTROL.search(line):
            raise MalformedResponse("a control character in a header")
        if line[:1] in {b" ", b"\t"}:
            if not self._headers:
                raise MalformedResponse("the first header is folded")
            name, value = self._headers[-1]
            self._headers[-1] = name, value + b" " + line.strip(_BLANKS)
            return
        name, colon, value = line.partition(b":")
        if not colon:
            raise MalformedResponse("a header without a colon")
        if not _NAME.fullmatch(name):
            raise MalformedResponse("the name of a header is not a word")
        self._headers.append((name.rstrip(b" "), value.strip(_BLANKS)))

    def _rewritten(self) -> bytes:
        lengths = {each.strip(_BLANKS) for value in self._values(b"content-length") for each in value.split(b",")}
        if len(lengths) > 1:
            raise MalformedResponse("Content-Length is given twice and differs")
        if not all(_LENGTH.fullmatch(length) for length in lengths):
            raise MalformedResponse("Content-Length is not a number")
        dropped = {b"content-length"}
        lines = [self._status_line]
        if self._values(b"transfer-encoding"):
            if lengths:
                dropped.add(b"connection")
                lines.append(b"Connection: close")
        else:
            lines += [b"Content-Length: " + length for length in lengths]
        lines += [
            name + b": " + value for name, value in self._headers if b" " not in name and name.lower() not in dropped
        ]
        return b"\r\n".join([*lines, b"", b""])

    def _values(self, lower_name: bytes) -> list[bytes]:
        return [value for name, value in self._headers if name.lower() == lower_name]


class ChunkReader:
    """Joins the chunks of a body, its first `limit` bytes: blanks and extensions after a size, and folded trailers."""

    __slots__ = ("_at", "_left", "_limit", "_line_limit", "_read", "_unread", "body", "has_ended")

    def __init__(self, limit: int) -> None:
        self.body = bytearray()
        self.has_ended = False
        """Whether the last chunk and the trailer have ended; what follows is not read."""
        self._limit = limit
        self._line_limit = CHUNK_LINE_LIMIT
        self._read: Callable[[], bool] = self._read_size
        self._left = self._at = 0
        self._unread = b""

    def feed(self, data: bytes) -> None:
        """Reads data of the body. Raises MalformedResponse."""
        self._unread += data
        while not self.has_ended and len(self.body) < self._limit and self._at < len(self._unread) and self._read():
            pass
        self._unread = self._unread[self._at :]
        self._at = 0

    def _read_size(self) -> bool:
        line = self._next_line()
        if line is None:
            return False
        found = _CHUNK_SIZE.fullmatch(line)
        if found is None:
            raise MalformedResponse("the size of a chunk is not a number")
        self._left = int(found[1], 16)
        if self._left:
            self._read = self._read_data
        else:
            self._line_limit = TRAILER_LIMIT
            self._read = self._read_trailer
        return True

    def _read_data(self) -> bool:
        data = self._unread[self._at : self._at + self._left]
        self._at += len(data)
        self._left -= len(data)
        self.body += data[: self._limit - len(self.body)]
        if not self._left:
            self._read = self._read_end_of_data
        return True

    def _read_end_of_data(self) -> bool:
        end = self._unread[self._at : self._at + 2]
        if not b"\r\n".startswith(end):
            raise MalformedResponse("a chunk is longer than its size")
        if len(end) < 2:
            return False
        self._at += 2
        self._read = self._read_size
        return True

    def _read_trailer(self) -> bool:
        line = self._next_line()
        if line is None:
            return False
        self._line_limit -= len(line)
        if not line:
            self.has_ended = True
        elif b":" not in line and line[:1] not in {b" ", b"\t"}:
            raise MalformedResponse("a trailer without a colon")
        return True

    def _next_line(self) -> bytes | None:
        """Returns the next line, or None while its end must still come."""
        end = self._unread.find(b"\n", self._at)
        if (len(self._unread) if end < 0 else end) - self._at > self._line_limit:
            raise MalformedResponse("a line between chunks is too long")
        if end < 0:
            return None
        line = self._unread[self._at : end]
        if not line.endswith(b"\r"):
            raise MalformedResponse("a line between chunks ends without CR")
        self._at = end + 1
        return line[:-1]
