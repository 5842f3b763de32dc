"""The contract of a DocumentLog as a pytest suite."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest

from healthprobe.domain.document import LONGEST_DOCUMENT, LONGEST_NAME, read_documents
from healthprobe.ports import ContentError, DocumentLog
from healthprobe.testing.contracts.samples import ODD_GAME_IDS

AlterDocument = Callable[[str, str, bytes], Awaitable[None]]
"""Replaces the document of a kind and key by these bytes, as another program could."""


@pytest.mark.asyncio
class DocumentLogContract:
    """Subclass it as `class TestMyDocuments(DocumentLogContract)` and define the fixture `log`: an empty log.

    If two processes can share the log, define `rival` too: a second connection to the same log. If another program can
    alter what is in the log, define `alter_document`. `many` is a number of documents that takes several batches.
    """

    many = 2_500

    @pytest.fixture
    def rival(self, log: DocumentLog) -> DocumentLog:
        return log

    @pytest.fixture
    def alter_document(self) -> AlterDocument:
        """Returns a function that replaces a document by bytes; skips by default."""
        pytest.skip("define the fixture alter_document for a log that another program can alter")

    async def test_a_kind_has_no_documents_until_one_is_put(self, log: DocumentLog) -> None:
        assert await log.documents("silence") == {}
        await log.put_documents("silence", {})
        assert await log.documents("silence") == {}

    async def test_another_instance_reads_what_was_put(self, log: DocumentLog, rival: DocumentLog) -> None:
        assert await rival.documents("silence") == {}
        await log.put_documents("silence", {"1": '{"by": "eu"}', "2": "{}"})
        assert await rival.documents("silence") == {"1": '{"by": "eu"}', "2": "{}"}

    async def test_the_last_writer_of_a_document_wins(self, log: DocumentLog, rival: DocumentLog) -> None:
        await log.put_documents("alert", {"1": "a", "2": "a", "3": "a"})
        await rival.put_documents("alert", {"1": "b", "4": "b"})
        await log.put_documents("alert", {"2": "c"})
        await log.put_documents("alert", {"2": "c"})
        assert await rival.documents("alert") == {"1": "b", "2": "c", "3": "a", "4": "b"}

    async def test_a_document_that_is_put_as_none_is_removed(self, log: DocumentLog, rival: DocumentLog) -> None:
        await log.put_documents("alert", {"1": "a", "2": "a"})
        await rival.put_documents("alert", {"1": None, "3": "b", "never there": None})
        assert await log.documents("alert") == {"2": "a", "3": "b"}
        await log.put_documents("alert", {"1": "again", "2": None, "3": None})
        assert await rival.documents("alert") == {"1": "again"}

    async def test_each_kind_has_keys_of_its_own(self, log: DocumentLog) -> None:
        kinds = ("alert", "alert.", "alert:", "ALERT", "alerter:pagerduty://EU.events/*", "alerter:>", *ODD_GAME_IDS)
        for kind in kinds:
            await log.put_documents(kind, {"1": f"of {kind}"})
        await log.put_documents("alert", {"1": None})
        assert [await log.documents(kind) for kind in kinds] == [{}, *({"1": f"of {kind}"} for kind in kinds[1:])]

    async def test_odd_keys_and_texts_come_back_as_they_were(self, log: DocumentLog, rival: DocumentLog) -> None:
        documents = {
            key: f"{key} ошибка 🎮 ' \" \\ \t\r\n \x01 \x7f \u2028" for key in (*ODD_GAME_IDS, "", "*", ">", "a.b")
        }
        documents["empty"] = ""
        await log.put_documents("alert", dict(documents))
        assert await rival.documents("alert") == documents
        await log.put_documents("alert", dict.fromkeys(documents))
        assert await rival.documents("alert") == {}

    async def test_the_longest_names_and_documents_are_kept(self, log: DocumentLog) -> None:
        key = "k" * LONGEST_NAME
        for document in ("d" * LONGEST_DOCUMENT, "🎮" * LONGEST_DOCUMENT):
            await log.put_documents("n" * LONGEST_NAME, {key: document})
            assert await log.documents("n" * LONGEST_NAME) == {key: document}

    @pytest.mark.parametrize(
        ("kind", "key", "document"),
        [
            ("n" * (LONGEST_NAME + 1), "2", "{}"),
            ("alert", "k" * (LONGEST_NAME + 1), "{}"),
            ("alert", "2", "d" * (LONGEST_DOCUMENT + 1)),
            ("alert\0", "2", "{}"),
            ("alert", "2\0", "{}"),
            ("alert", "2", "\0"),
            ("alert", "\ud83d", "{}"),
            ("alert", "2", "\ud83d"),
        ],
    )
    async def test_what_no_log_can_hold_is_refused_for_good_and_nothing_is_stored(
        self, log: DocumentLog, kind: str, key: str, document: str
    ) -> None:
        with pytest.raises(ContentError, match=r"characters|NUL|surrogates") as refused:
            await log.put_documents(kind, {"1": "{}", key: document})
        assert "\n" not in str(refused.value)
        assert await log.documents(kind) == {}
        assert await log.documents("alert") == {}

    async def test_many_documents_are_put_read_and_removed_at_once(self, log: DocumentLog, rival: DocumentLog) -> None:
        documents = {f"game-{number}": json.dumps({"number": number}) for number in range(self.many)}
        await log.put_documents("another", {"1": "a"})
        await log.put_documents("alert", dict(documents))
        await log.put_documents("another", {"2": "a"})
        assert await rival.documents("alert") == documents
        ended = {key: None for number, key in enumerate(documents) if number % 2}
        await rival.put_documents("alert", dict(ended))
        assert await log.documents("alert") == {key: text for key, text in documents.items() if key not in ended}
        assert await log.documents("another") == {"1": "a", "2": "a"}

    @pytest.mark.parametrize("value", [b"", b"\xff\xfe", b"caf\xe9", b"[", b'"\xed\xa0\x80"', b"[" * 20_000])
    async def test_an_altered_document_is_skipped_and_named_and_hides_no_other(
        self, log: DocumentLog, alter_document: AlterDocument, value: bytes
    ) -> None:
        await log.put_documents("silence", {"1": "[1]", "2": "[2]", "3": "[3]"})
        await alter_document("silence", "2", value)
        read, problems = read_documents(await log.documents("silence"), _list_in, "silence")
        assert read == {"1": [1], "3": [3]}
        assert [problem.partition(":")[0] for problem in problems] == ["the silence '2' in the log cannot be read"]
        await log.put_documents("silence", {"2": "[22]", "3": None})
        assert await log.documents("silence") == {"1": "[1]", "2": "[22]"}
        await log.put_documents("silence", {"2": None})
        assert await log.documents("silence") == {"1": "[1]"}


def _list_in(document: str) -> list[int]:
    found = json.loads(document)
    if not isinstance(found, list):
        raise TypeError("it is no list")
    return found
