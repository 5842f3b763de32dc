"""The outcome of a probe, and its error in an event: short, on one line, without secrets."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from healthprobe.domain.outcome import MAX_ERROR_BYTES, Failed, sanitize_error

LINE_BREAKS = "\u2028\u2029"

any_text = st.text(st.characters(codec=None)) | st.text("a@:/ \n\x00ü€😀\ud800", max_size=3000)


@pytest.mark.proves("error-one-plain-line")
@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("connection refused", "connection refused"),
        ("  two\r\nlines\t\x00here  ", "two lines here"),
        ("bell\x07 escape\x1b[31m delete\x7f next line\x85", "bell  escape [31m delete  next line"),
        ("lone \ud800 surrogate", "lone   surrogate"),
        ("a\u2028b\u2029c", "a b c"),
        ("redirect to http://user:secret@game-8/ refused", "redirect to http://game-8/ refused"),
        ("http://a:b@c and https://d:e@f@g", "http://c and https://g"),
        ("mail ops@example.org", "mail ops@example.org"),
        ("größer als erlaubt", "größer als erlaubt"),
        ("", ""),
    ],
)
def test_an_error_is_one_line_without_credentials(text: str, cause: str) -> None:
    assert sanitize_error(text) == cause


@pytest.mark.parametrize("character", ["x", "ü", "€", "😀"])
def test_an_error_longer_than_a_kibibyte_is_cut_between_characters(character: str) -> None:
    fitting = character * (MAX_ERROR_BYTES // len(character.encode()))
    fitting += "x" * (MAX_ERROR_BYTES - len(fitting.encode()))

    assert sanitize_error(fitting) == fitting
    cut = sanitize_error(fitting + "x")
    assert cut.endswith("…")
    assert fitting.startswith(cut.removesuffix("…"))
    assert MAX_ERROR_BYTES - 4 < len(cut.encode()) <= MAX_ERROR_BYTES


@pytest.mark.proves("error-1-kib")
@given(text=any_text)
@example("x" * 5_000_000)
@example("://" * 1_000_000)
@example("http://" + "\n" * 4096 + "a@b")
def test_any_text_becomes_an_error_that_fits_an_event(text: str) -> None:
    cause = sanitize_error(text)

    assert len(cause.encode()) <= MAX_ERROR_BYTES
    assert not any(unicodedata.category(character) in {"Cc", "Cs"} or character in LINE_BREAKS for character in cause)
    assert sanitize_error(cause) == cause


@given(
    before=st.text("abc /:@", max_size=30),
    password=st.text("stuvw:/@%", max_size=60).map("s{}w".format),
    after=st.text("abc /:@", max_size=30),
)
def test_credentials_are_removed_from_any_part_of_an_error(before: str, password: str, after: str) -> None:
    assert password not in sanitize_error(f"{before}http://user:{password}@game-7/{after}")


@given(text=any_text)
def test_a_failure_sanitizes_its_error(text: str) -> None:
    assert Failed(0, text).last_error == sanitize_error(text)
