"""Markup: JSON and YAML to plain lists, mappings and texts, from files that nobody vouches for."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from healthprobe.adapters.file.yaml_builder import Malformed, Path, YamlBuilder


def parse_markup(text: str, *, is_json: bool) -> Any:
    """The document that `text` holds; None where it is empty. Raises Malformed.

    What is not told to be JSON is JSON all the same if it reads as such, and YAML otherwise.
    """
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise Malformed("not UTF-8 text", line=text.count("\n", 0, error.start) + 1) from error
    if is_json:
        return _parse_json(encoded) if text.strip() else None
    if text.lstrip()[:1] in ("[", "{"):
        with suppress(Malformed):
            return _parse_json(encoded)
    return YamlBuilder(encoded).build()


def line_of(text: str, path: Path) -> int:
    """The line of what stands at `path`, counted from 1, or of the nearest thing around it. For error messages."""
    lines: dict[Path, int] = {}
    with suppress(Malformed):
        YamlBuilder(text.replace("\t", " ").encode(), lines).build()  # tabs are blanks to JSON and forbidden to YAML
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _parse_json(encoded: bytes) -> Any:
    try:
        return msgspec.json.decode(encoded)
    except RecursionError as error:
        raise Malformed("nested too deeply") from error
    except msgspec.DecodeError as error:
        problem, _, place = str(error).partition(" (byte ")
        position = int(place.rstrip(")")) if place else len(encoded)
        problem = problem.removeprefix("JSON is malformed: ").replace("Input data was truncated", "it ends too early")
        hint = "" if encoded.lstrip()[:1] in (b"[", b"{") else "; call the file .yaml if it is YAML"
        line = encoded.count(b"\n", 0, position) + 1
        raise Malformed(f"not valid JSON: {problem}{hint}", line=line) from error
