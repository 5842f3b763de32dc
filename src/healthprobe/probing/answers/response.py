"""Reads a response as far as a verdict needs it: its status, at the end of its head, and where its body ends."""

from __future__ import annotations

import re

import httptools

from healthprobe.domain.outcome import OK
from healthprobe.probing.answers.leniency import ChunkReader, LenientHead
from healthprobe.probing.errors import MalformedResponse

HEAD_LIMIT = 64 * 1024
"""The longest response head in bytes, with all interim responses."""

BODY_LIMIT = 64 * 1024
"""The most bytes of a body to read in order to keep the connection."""

INTERIM_LIMIT = 16
"""The most interim (1xx) responses before the final one."""

_SWITCHING_PROTOCOLS = 101
_PREFIXES = (b"HTTP/1.1 ", b"HTTP/1.0 ")
_WHITESPACE = b" \t"
_LOCATION = re.compile(rb"\r?\nlocation[ \t]*:([^\r\n]*)\r?\n", re.IGNORECASE)
"""Matches the value with the whitespace around it; finding its end would take quadratic time."""
_BLANK_LINE = re.compile(rb"\n\r?\n")
_CHUNKED = re.compile(rb"\r?\ntransfer-encoding[ \t]*:(?:[^\r\n]*,)?[ \t]*chunked[ \t]*(?=\r?\n)", re.IGNORECASE)
_CONTENT_LENGTH = re.compile(rb"\r?\ncontent-length[ \t]*:", re.IGNORECASE)
_PARSER_ERRORS = (httptools.HttpParserError, httptools.HttpParserUpgrade)


class ResponseReader:
    """Reads one response after another on one connection.

    `status` is 0 until the head of the final response has ended. A response `is_complete` once its body has ended and
    nothing follows: only then, and if the engine `keeps_alive`, can the connection carry another request.
    """

    __slots__ = (
        "_begun",
        "_ended",
        "_error",
        "_head",
        "_interim",
        "_lenient",
        "_parser",
        "_read",
        "is_complete",
        "keeps_alive",
        "status",
    )

    forgets_head = True
    """Whether the head of a response with status 200 is dropped; a redirect's is always kept for its location."""

    def __init__(self) -> None:
        self._parser = self._new_parser()
        self._lenient: LenientHead | None = None
        self._error = ""
        self.expect_response()

    def expect_response(self) -> None:
        """Resets the reader before another request, after a response that is complete."""
        self.status = self._begun = self._ended = self._interim = self._read = 0
        self.is_complete = self.keeps_alive = False
        self._head = b""

    @property
    def has_begun(self) -> bool:
        """Whether any byte was received."""
        return self._read > 0

    @property
    def body_size(self) -> int:
        """How many bytes came after the head of a response that is not complete yet."""
        return self._read

    @property
    def head(self) -> bytes:
        """The final head, once it has ended, if `forgets_head` is false."""
        start, end = _locate_last(self._interim + 1, self._head)
        return self._head[max(start - 2, 0) : end]

    @property
    def location(self) -> str | None:
        """The Location header of the response whose head has ended, or None."""
        found = _LOCATION.search(self._head, *_locate_last(self._interim + 1, self._head))
        return found[1].strip(_WHITESPACE).decode("latin-1") if found else None

    def feed(self, data: bytes) -> None:
        """Parses received data. Raises MalformedResponse, after which the connection cannot be used.

        An error after the head does not change the verdict; the response just never becomes complete.
        """
        if self.status:
            self._feed_body(data)
            return
        self._head = self._head + data if self._head else data
        room = HEAD_LIMIT - self._read
        self._read += len(data)
        if self._lenient is not None:
            self._read_leniently(self._lenient, data)
        else:
            try:
                if len(data) <= room:
                    self._parser.feed_data(data)
                else:
                    self._feed_across_limit(data, room)
            except _PARSER_ERRORS as error:
                self._note_error(str(error))
        if self._interim > INTERIM_LIMIT:
            raise MalformedResponse(f"more than {INTERIM_LIMIT} interim responses")
        if self.status:
            head = self._head
            if self.status < 100 or not head.startswith(_PREFIXES):
                raise MalformedResponse(_describe_status_line(head))
            self._note_end()
            self._count_body(head)
            if self.status == OK and self.forgets_head:
                self._head = b""

    def on_message_begin(self) -> None:
        self._begun += 1

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.status:
            return
        if 100 <= status < 200 and status != _SWITCHING_PROTOCOLS:
            self._interim += 1
        else:
            self.status = max(status, 1)  # 0 means that the head has not ended
            self.keeps_alive = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self._ended += 1

    def _new_parser(self) -> httptools.HttpResponseParser:
        parser = httptools.HttpResponseParser(self)
        # Engines written by hand end lines with a bare LF, and put blanks after the size of a chunk.
        parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
        return parser

    def _note_error(self, error: str) -> None:
        """Reads a head anew that the strict parser refused. After the head, the response never becomes complete."""
        if self.status:
            self._begun = -1
            self.keeps_alive = False
            return
        if self._interim > INTERIM_LIMIT:
            return
        self._error = error
        self._lenient = LenientHead()
        _, start = _locate_last(self._interim, self._head)
        self._read_leniently(self._lenient, self._head[start:])

    def _read_leniently(self, lenient: LenientHead, data: bytes) -> None:
        try:
            whole = lenient.feed(data)
        except MalformedResponse as refusal:
            reason = str(refusal)
            described = f"malformed response head: {reason}" if reason else _describe(self._head, self._error)
            raise MalformedResponse(described) from None
        if whole is None:
            if self._read > HEAD_LIMIT:
                raise MalformedResponse(f"response head larger than {HEAD_LIMIT // 1024} KiB")
            return
        heads = self._interim
        _, start = _locate_last(heads, self._head)
        self._head = self._head[:start] + whole
        self._lenient = None
        self._begun = self._ended = heads
        self._parser = self._new_parser()
        try:
            self._parser.feed_data(whole)
        except _PARSER_ERRORS as error:
            if not self.status and self._interim == heads:
                raise MalformedResponse(_describe(self._head, str(error))) from None
            self._note_error(str(error))

    def _feed_across_limit(self, data: bytes, room: int) -> None:
        self._parser.feed_data(data[:room])
        if not self.status:
            raise MalformedResponse(f"response head larger than {HEAD_LIMIT // 1024} KiB")
        self._parser.feed_data(data[room:])

    def _feed_body(self, data: bytes) -> None:
        self._read += len(data)
        if self._read > BODY_LIMIT:
            raise MalformedResponse(f"body larger than {BODY_LIMIT // 1024} KiB")
        try:
            self._parser.feed_data(data)
        except _PARSER_ERRORS as error:
            raise MalformedResponse(f"malformed body: {error}") from None
        self._note_end()

    def _count_body(self, head: bytes) -> None:
        """Counts the part of the body received with `head`, unless the body is complete and small."""
        self._read = 0
        if not self.is_complete or len(head) > BODY_LIMIT:
            _, end = _locate_last(self._interim + 1, head)
            self._read = len(head) - end
            self.keeps_alive = self.keeps_alive and self._read <= BODY_LIMIT

    def _note_end(self) -> None:
        """Sets `is_complete` if the final response has ended and no other has begun."""
        self.is_complete = self._ended == self._begun == self._interim + 1


class HeadReader(ResponseReader):
    """Keeps the head after it ended."""

    __slots__ = ()

    forgets_head = False


class BodyReader(HeadReader):
    """Keeps the head and the first BODY_LIMIT bytes of the body."""

    __slots__ = ("_body", "_chunks", "body_error", "ends_with_connection")

    def expect_response(self) -> None:
        super().expect_response()
        self._body = b""
        self._chunks: ChunkReader | None = None
        self.body_error = ""
        """What is wrong with the body, before its end."""
        self.ends_with_connection = False
        """Whether nothing but the end of the connection tells where the body ends."""

    @property
    def body(self) -> bytes:
        """The body without its transfer encoding, its first BODY_LIMIT bytes."""
        return self._body if self._chunks is None else bytes(self._chunks.body)

    @property
    def is_full(self) -> bool:
        return len(self._body if self._chunks is None else self._chunks.body) >= BODY_LIMIT

    @property
    def has_ended(self) -> bool:
        """Whether the body has ended, whatever follows it."""
        return self._ended > self._interim or (self._chunks is not None and self._chunks.has_ended)

    def on_body(self, body: bytes) -> None:
        """Called by the parser with data of the body, without its transfer encoding."""
        if len(self._body) < BODY_LIMIT and self._ended == self._interim:
            self._body += body[: BODY_LIMIT - len(self._body)]

    def _count_body(self, head: bytes) -> None:
        super()._count_body(head)
        if self.has_ended:
            return
        if _CHUNKED.search(self.head):
            self._chunks = ChunkReader(BODY_LIMIT)
            _, end = _locate_last(self._interim + 1, head)
            self._read_chunks(self._chunks, head[end:])
        else:
            self.ends_with_connection = _CONTENT_LENGTH.search(self.head) is None

    def _feed_body(self, data: bytes) -> None:
        """A body longer than BODY_LIMIT is no failure, but its connection is not kept."""
        self._read += len(data)
        try:
            self._parser.feed_data(data)
        except _PARSER_ERRORS as error:
            self._note_error(str(error))
        if self._chunks is not None:
            self._read_chunks(self._chunks, data)
        self._note_end()
        self.keeps_alive = self.keeps_alive and self._read <= BODY_LIMIT

    def _read_chunks(self, chunks: ChunkReader, data: bytes) -> None:
        try:
            chunks.feed(data)
        except MalformedResponse as malformed:
            self.body_error = self.body_error or f"malformed body: {malformed}"


def _locate_last(heads: int, received: bytes) -> tuple[int, int]:
    """Returns where the last of this many heads begins and ends: the final one follows the interim ones."""
    start = end = 0
    for _ in range(heads):
        found = _BLANK_LINE.search(received, end)
        start, end = end, found.end() if found else len(received)
    return start, end


def _describe_status_line(head: bytes) -> str:
    """Returns what is wrong with the beginning of a head that the parser has read."""
    if head.startswith((b"\r", b"\n")):
        return "malformed status line: a blank line before it"
    if not head.startswith(_PREFIXES):
        return _describe(head, "not HTTP/1.0 or HTTP/1.1")
    return _describe(head, "no status below 100 exists")


def _describe(data: bytes, error: str) -> str:  # noqa: PLR0911  a table of what engines send by mistake
    """Returns what an engine sent instead of a response, judged by the first bytes."""
    data = data[:HEAD_LIMIT].lstrip(b"\r\n")
    if data.startswith(b"SSH-"):
        return "not HTTP: an SSH banner"
    if data[:2] in {b"\x15\x03", b"\x16\x03"}:
        return "not HTTP: TLS on this port; write https:// in the endpoint"
    if len(data) > 4 and data[3] == 4 and data[:2] == b"\x00\x00":
        return "not HTTP/1: an HTTP/2 frame"
    if data.startswith((b"HTTP/0", b"HTTP/2", b"HTTP/3")):
        return f"malformed response head: HTTP version {data[5:8].decode('latin-1').strip()} is not 1.0 or 1.1"
    if data.startswith(b"HTTP/"):
        shown = error if error.startswith("Content-Length") else error[:1].lower() + error[1:]
        return f"malformed response head: {shown}"
    if data[:1] == b"<":
        return "not HTTP/1: a body without a response head"
    return "malformed status line: the response does not begin with HTTP/"
