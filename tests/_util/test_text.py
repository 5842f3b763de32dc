"""Text is cut to a length in characters or bytes, with an ellipsis, and made printable."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from healthprobe._util.text import printable, shorten, shorten_bytes


@given(st.text(), st.integers(1, 50))
def test_a_shortened_text_keeps_its_beginning_within_the_limit(text: str, longest: int) -> None:
    short = shorten(text, longest)
    assert len(short) <= longest
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(3, 50))
def test_a_text_shortened_in_bytes_is_valid_utf_8_within_the_limit(text: str, longest: int) -> None:
    short = shorten_bytes(text, longest)
    assert len(short.encode()) <= longest
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


@given(st.text())
def test_printable_text_has_the_same_length_and_no_control_characters(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert shown.isprintable()
