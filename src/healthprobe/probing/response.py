"""The response as far as a verdict needs it: its status, known at the end of its head, and where its body ends."""

from __future__ import annotations

import re

import httptools

from healthprobe.domain.outcome import OK

HEAD_LIMIT = 64 * 1024
"""The longest response head, in bytes, all interim responses included."""

BODY_LIMIT = 64 * 1024
"""The most of a body that is read, in bytes, so that its connection can be kept."""

INTERIM_LIMIT = 16
"""The most interim (1xx) responses before the final one."""

_SWITCHING_PROTOCOLS = 101
_OPENINGS = (b"HTTP/1.1 ", b"HTTP/1.0 ")
_BLANKS = b" \t"
_LOCATION = re.compile(rb"\r?\nlocation[ \t]*:([^\r\n]*)\r?\n", re.IGNORECASE)
"""Takes the blanks around the value as well: to look for their end here takes a time that grows with their square."""
_BLANK_LINE = re.compile(rb"\n\r?\n")
_PARSER_ERRORS = (httptools.HttpParserError, httptools.HttpParserUpgrade)


class MalformedResponse(Exception):
    """What came is not an HTTP/1 response. The message says what it is instead, in plain words."""


class ResponseReader:
    """Reads one response after another on one connection.

    `status` is 0 until the head of the final response has ended. `complete` tells that its body has ended as well and
    that nothing follows: only then, and if the engine `keeps_alive`, may the connection carry another request.
    """

    __slots__ = ("_begun", "_ended", "_head", "_interim", "_parser", "_read", "complete", "keeps_alive", "status")

    forgets_head = True
    """Whether a head is let go of once it was judged: only a redirect's is looked at again."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        # The reference's client takes a bare LF for the end of a line, and engines written by hand send it.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)
        self.expect_response()

    def expect_response(self) -> None:
        """Begin anew. To be called before a request, on a connection whose last response is `complete`."""
        self.status = self._begun = self._ended = self._interim = self._read = 0
        self.complete = self.keeps_alive = False
        self._head = b""

    @property
    def began(self) -> bool:
        """Whether anything at all has come."""
        return self._read > 0

    @property
    def head(self) -> bytes:
        """The final head, once it has ended, from a reader that does not forget it."""
        start, end = _last_of(self._interim + 1, self._head)
        return self._head[max(start - 2, 0) : end]

    @property
    def location(self) -> str | None:
        """The Location header of the response whose head has ended, or None."""
        found = _LOCATION.search(self._head, *_last_of(self._interim + 1, self._head))
        return found[1].strip(_BLANKS).decode("latin-1") if found else None

    def feed(self, data: bytes) -> None:
        """Take what came. Raises MalformedResponse, after which the connection is of no more use.

        What goes wrong after the head has no say in the verdict: it only leaves the response never `complete`.
        """
        if self.status:
            self._feed_body(data)
            return
        head = self._head = self._head + data if self._head else data
        room = HEAD_LIMIT - self._read
        self._read += len(data)
        try:
            if len(data) <= room:
                self._parser.feed_data(data)
            else:
                self._feed_across_limit(data, room)
        except _PARSER_ERRORS as error:
            self._ended = -1
            if not self.status:
                raise MalformedResponse(_in_plain_words(head, str(error))) from None
        if self._interim > INTERIM_LIMIT:
            raise MalformedResponse(f"more than {INTERIM_LIMIT} interim responses")
        if self.status:
            if not head.startswith(_OPENINGS) and not head.lstrip(b"\r\n").startswith(_OPENINGS):
                raise MalformedResponse(_in_plain_words(head, "not HTTP/1.0 or HTTP/1.1"))
            if self.status < 100:
                raise MalformedResponse(_in_plain_words(head, "no status below 100 exists"))
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
            self.status = max(status, 1)  # 0 would mean that the head has not ended
            self.keeps_alive = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self._ended += 1

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
        """What came of the body together with `head` counts as well, unless the body has ended and is small."""
        self._read = 0
        if not self.complete or len(head) > BODY_LIMIT:
            _, end = _last_of(self._interim + 1, head)
            self._read = len(head) - end
            self.keeps_alive = self.keeps_alive and self._read <= BODY_LIMIT

    def _note_end(self) -> None:
        """Complete is the final response and what came before it, and not a byte of anything after."""
        self.complete = self._ended == self._begun == self._interim + 1


class HeadReader(ResponseReader):
    """Keeps the head, for whoever looks at what it says."""

    __slots__ = ()

    forgets_head = False


class BodyReader(HeadReader):
    """Keeps the body as well, as much of it as counts: BODY_LIMIT bytes."""

    __slots__ = ("body", "has_enough")

    def expect_response(self) -> None:
        super().expect_response()
        self.body = b""
        self.has_enough = False

    def on_body(self, body: bytes) -> None:
        """Called by the parser, with what is left of the body's encodings."""
        if len(self.body) < BODY_LIMIT:
            self.body += body[: BODY_LIMIT - len(self.body)]
        self.has_enough = len(self.body) >= BODY_LIMIT

    def _feed_body(self, data: bytes) -> None:
        """More of a body than counts is no fault of its engine's, but its connection is of no more use."""
        self._read += len(data)
        try:
            self._parser.feed_data(data)
        except _PARSER_ERRORS as error:
            raise MalformedResponse(f"malformed body: {error}") from None
        self._note_end()
        self.keeps_alive = self.keeps_alive and self._read <= BODY_LIMIT


def _last_of(heads: int, received: bytes) -> tuple[int, int]:
    """Where the last of so many heads begins and ends in what was received: the final one stands after all interim."""
    start = end = 0
    for _ in range(heads):
        found = _BLANK_LINE.search(received, end)
        start, end = end, found.end() if found else len(received)
    return start, end


def _in_plain_words(opening: bytes, fault: str) -> str:  # noqa: PLR0911  a table of what is seen in the wild
    """What an engine sent instead of a response, judged by how it begins."""
    opening = opening[:HEAD_LIMIT].lstrip(b"\r\n")
    if opening.startswith(b"SSH-"):
        return "not HTTP: an SSH banner"
    if opening[:2] in {b"\x15\x03", b"\x16\x03"}:
        return "not HTTP: TLS on this port; write https:// in the endpoint"
    if len(opening) > 4 and opening[3] == 4 and opening[:2] == b"\x00\x00":
        return "not HTTP/1: an HTTP/2 frame"
    if opening.startswith((b"HTTP/0", b"HTTP/2", b"HTTP/3")):
        return f"malformed response head: HTTP version {opening[5:8].decode('latin-1').strip()} is not 1.0 or 1.1"
    if opening.startswith(b"HTTP/"):
        shown = fault if fault.startswith("Content-Length") else fault[:1].lower() + fault[1:]
        return f"malformed response head: {shown}"
    if opening[:1] == b"<":
        return "not HTTP/1: a body without a response head"
    return "malformed status line: the response does not begin with HTTP/"
