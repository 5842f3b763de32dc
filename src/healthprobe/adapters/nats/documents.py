"""Documents on JetStream: what alarms and silences keep with the events, one message a document.

They have a stream of their own, on subjects below those of relays: instances of older versions do not mind it, and a
user who may write cursors may write them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from healthprobe.adapters.nats.connection import JetStream, Refused, Request
from healthprobe.adapters.nats.errors import NO_STREAM, Contention, as_log_errors
from healthprobe.adapters.nats.stream_leader import Message, StreamLeader
from healthprobe.adapters.nats.streams import EXPECTED, LogStreams, ensure_documents, name_of
from healthprobe.domain.document import document_fault, text_of
from healthprobe.ports import ContentError

_TRIES = 20
_HEADERS = 4_096
"""More bytes than the headers of a message have."""


class _Stored(msgspec.Struct, frozen=True):
    key: str
    document: str


_to_stored = msgspec.json.Decoder(_Stored)


class JetStreamDocuments:
    """The documents of a log on JetStream. Every method raises LogError."""

    def __init__(self, stream: JetStream, streams: LogStreams) -> None:
        self._stream = stream
        self._streams = streams
        self._kept = StreamLeader(stream, streams.documents)
        self._is_there = False

    async def documents(self, kind: str) -> Mapping[str, str]:
        """Returns all documents of `kind`, by key. An altered message is the text that it is."""
        if document_fault(kind, {}):
            return {}
        with as_log_errors(self._stream):
            try:
                messages = await self._kept.last_of_each(self._streams.documents_of(kind))
            except Refused as refused:
                if refused.code == NO_STREAM:  # an instance of an older version made the log
                    return {}
                raise
        return dict(sorted(decode_document(message, kind, self._streams) for message in messages))

    async def put_documents(self, kind: str, documents: Mapping[str, str | None]) -> None:
        """Stores documents, or removes those that are None: each is stored when this returns.

        Raises ContentError, and stores none, if it cannot hold one of them.
        """
        if fault := document_fault(kind, documents):
            raise ContentError(f"{self._stream.address.name}: {fault}")
        wanted = {self._streams.of_document(kind, key): _encoded(key, each) for key, each in documents.items()}
        largest = self._stream.client.max_payload - _HEADERS
        if any(body is not None and len(body) > largest for body in wanted.values()):
            problem = f"a document of kind {kind!r} is larger than the server allows: raise its max_payload"
            raise ContentError(f"{self._stream.address.name}: {problem}")
        if not wanted:
            return
        with as_log_errors(self._stream):
            if not self._is_there:
                await ensure_documents(self._stream, self._streams)
                self._is_there = True
            for _ in range(_TRIES):
                if not (wanted := await self._put(wanted)):
                    return
            raise Contention("others change the same documents all the time")

    async def _put(self, wanted: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
        """Stores bodies, or removes those that are None, by subject. Returns those that others have changed meanwhile.

        Each is written on the condition that what stands there is what was read: a message of ours that is still on its
        way when it is given up replaces nothing newer.
        """
        standing = dict(zip(wanted, await self._kept.last(list(wanted)), strict=True))
        removed = [message.seq for subject, message in standing.items() if message and wanted[subject] is None]
        await self._kept.delete(removed)
        requests = [
            Request(subject, body, {EXPECTED: str(message.seq if message else 0)})
            for subject, message in standing.items()
            if (body := wanted[subject]) is not None and (message is None or message.data != body)
        ]
        acks = await self._kept.write(requests)
        rejected = [request.subject for request, ack in zip(requests, acks, strict=True) if ack.is_rejected]
        return {subject: wanted[subject] for subject in rejected}


def decode_document(message: Message, kind: str, streams: LogStreams) -> tuple[str, str]:
    """Returns the key and the document in `message`: what is known of the key, and all of the text, if it was altered.

    The message is on a subject of `kind`.
    """
    try:
        stored = _to_stored.decode(message.data)
        if streams.of_document(kind, stored.key) == message.subject:
            return stored.key, stored.document
    except (ValueError, RecursionError):
        pass
    token = message.subject.rpartition(".")[2]
    return name_of(token) or token, text_of(message.data)


def _encoded(key: str, document: str | None) -> bytes | None:
    return None if document is None else msgspec.json.encode(_Stored(key, document))
