"""A name server of the test's own: real datagrams on a port of loopback."""

from __future__ import annotations

import socket
import struct
import threading
from ipaddress import ip_address
from types import TracebackType
from typing import Self

A_RECORD, SOA_RECORD, AAAA_RECORD, ANY_CLASS = 1, 6, 28, 1
NO_ERROR, SERVER_FAILURE, NO_SUCH_NAME = 0, 2, 3


class NameServer:
    """Answers each name with its addresses, with an error, or not at all where it has neither.

    `ttl` is that of each answer; `negative_ttl` says how long others may remember that a name does not exist. It has a
    thread of its own: one that shared the loop would lose most of five hundred questions asked at once.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.addresses: dict[str, str | tuple[str, ...]] = {}
        self.errors: dict[str, int] = {}
        self.asked: list[str] = []
        self.ttl = 0
        self.negative_ttl: int | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind((host, port))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, asker = self._socket.recvfrom(4096)
            if not query:
                return
            name, kind, question = question_of(query)
            if kind == A_RECORD:
                self.asked.append(name)
            if name in self.addresses:
                known = self.addresses[name]
                addresses = tuple(filter(None, (known,))) if isinstance(known, str) else known
                self._socket.sendto(reply(query[:2], question, self._records(kind, addresses)), asker)
            elif name in self.errors:
                records = [] if self.negative_ttl is None else [_start_of_authority(self.negative_ttl)]
                self._socket.sendto(refusal(query[:2], question, self.errors[name], records), asker)

    def _records(self, kind: int, addresses: tuple[str, ...]) -> list[bytes]:
        packed = [ip_address(address).packed for address in addresses]
        length = {A_RECORD: 4, AAAA_RECORD: 16}.get(kind, 0)
        return [
            struct.pack("!HHHIH", 0xC00C, kind, ANY_CLASS, self.ttl, length) + each
            for each in packed
            if len(each) == length
        ]


def question_of(query: bytes) -> tuple[str, int, bytes]:
    labels, position = [], 12
    while length := query[position]:
        labels.append(query[position + 1 : position + 1 + length].decode().lower())
        position += 1 + length
    (kind,) = struct.unpack_from("!H", query, position + 1)
    return ".".join(labels), kind, query[12 : position + 5]


def reply(query_id: bytes, question: bytes, records: list[bytes]) -> bytes:
    return query_id + struct.pack("!HHHHH", 0x8180, 1, len(records), 0, 0) + question + b"".join(records)


def refusal(query_id: bytes, question: bytes, error: int, authority: list[bytes]) -> bytes:
    counts = struct.pack("!HHHHH", 0x8180 | error, 1, 0, len(authority), 0)
    return query_id + counts + question + b"".join(authority)


def _start_of_authority(ttl: int) -> bytes:
    """The record of the root zone whose last field is the time to remember that a name does not exist (RFC 2308)."""
    data = b"\0\0" + struct.pack("!IIIII", 1, ttl, ttl, ttl, ttl)
    return b"\0" + struct.pack("!HHIH", SOA_RECORD, ANY_CLASS, ttl, len(data)) + data
