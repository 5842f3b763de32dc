"""Parses untrusted JSON and YAML into lists, mappings and text."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from healthprobe.adapters.file.yaml_builder import Malformed, Path, YamlBuilder


def parse_markup(text: str, *, is_json: bool) -> Any:
    """Returns the document in `text`, or None if it is empty. Raises Malformed.

    Unless `is_json`, text that looks like JSON is parsed as JSON, and as YAML if that fails.
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
    """Returns the line, counted from 1, of the value at `path`, or of the nearest value around it. For messages."""
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
