"""Secrets by their place: read when they are needed, and never in a message."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from healthprobe.http_client.secret import Secret
from healthprobe.ports import ConfigurationError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("s3cr3t\n")
    path.chmod(0o600)
    return path


def refusal_of(place: str) -> str:
    with pytest.raises(ConfigurationError, match=r"\Athe token[^\n]+\Z") as raised:
        Secret.at(place, "the token").read()
    return str(raised.value)


def test_a_secret_is_read_from_a_file_without_its_line_break(file: Path) -> None:
    assert Secret.at(f"file:{file}", "the token").read() == "s3cr3t"


def test_a_secret_is_read_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "s3cr3t")
    assert Secret.at("env:MY_TOKEN", "the token").read() == "s3cr3t"


def test_a_file_that_is_replaced_is_read_again(file: Path) -> None:
    secret = Secret.at(f"file:{file}", "the token")
    secret.read()
    file.write_text("the next one")
    assert secret.read() == "the next one"


@pytest.mark.parametrize("place", ["s3cr3t", "", "env:", "file:", "vault:s3cr3t", "Bearer s3cr3t"])
def test_the_secret_itself_is_refused_and_not_repeated(place: str) -> None:
    message = refusal_of(place)
    assert "write env:NAME or file:PATH" in message
    assert "s3cr3t" not in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"s3cr3t\nanother", "more than one line"),
        (b"s3cr3t\x00", "more than one line"),
        (b"s3cr3t\xff", "not text in UTF-8"),
        (b"s3cr3t" * 10_000, "larger than 16 KiB"),
    ],
)
def test_what_cannot_be_a_secret_is_reported_without_it(file: Path, content: bytes, expected: str) -> None:
    file.write_bytes(content)
    message = refusal_of(f"file:{file}")
    assert expected in message
    assert "s3cr3t" not in message


def test_places_that_hold_nothing_are_named(tmp_path: Path, file: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "NO_SUCH_NAME is not set" in refusal_of("env:NO_SUCH_NAME")
    assert "cannot be read: no such file or directory" in refusal_of(f"file:{tmp_path / 'none'}")
    assert "not a regular file" in refusal_of(f"file:{tmp_path}")
    assert "not a regular file" in refusal_of(f"file:{tmp_path / 'pipe'}")
    assert "a control character" in refusal_of("file:a\0b")


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o440])
def test_a_file_of_its_owner_and_group_is_well_kept(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert not Secret.at(f"file:{file}", "the token").exposure()


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602, 0o777])
def test_a_file_that_others_may_read_or_write_is_exposed(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert f"(mode {mode:04o})" in Secret.at(f"file:{file}", "the token").exposure()


def test_what_is_no_file_has_no_permissions(tmp_path: Path) -> None:
    assert not Secret.at("env:HOME", "the token").exposure()
    assert not Secret.at(f"file:{tmp_path / 'none'}", "the token").exposure()
