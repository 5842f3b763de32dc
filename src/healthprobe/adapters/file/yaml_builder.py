"""Builds lists, mappings and text from libyaml's events, from untrusted YAML.

PyYAML's own loaders do not suffice: deep nesting ends the process, 10,000 engines block the event loop for a fifth of a
second, and duplicate keys are accepted.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.reader import ReaderError
from yaml.resolver import Resolver

MAX_DEPTH = 16
"""How deep lists and mappings may nest; records and groups need 4."""

Path = tuple[int | str, ...]
"""The place of a value in a document: indexes in lists and keys of mappings."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = (None, "!", f"{_TAG}str")
_NOT_TEXT = {f"{_TAG}{kind}" for kind in ("null", "bool", "int", "float")}
_resolver = Resolver()
_constructor = SafeConstructor()


class Malformed(ValueError):
    """The document is not valid at `line`, counted from 1, or at `path`."""

    def __init__(self, message: str, *, line: int | None = None, path: Path = ()) -> None:
        super().__init__(message)
        self.line = line
        self.path = path


class _Frame:
    """A list or mapping that is being filled. `key` is the key whose value comes next; `path` is its place."""

    __slots__ = ("container", "key", "path")

    def __init__(self, container: list[Any] | dict[str, Any], path: Path) -> None:
        self.container = container
        self.key: str | None = None
        self.path = path


class YamlBuilder:
    """Builds one document. If `lines` is given, the line of each value is stored there by its path."""

    def __init__(self, encoded: bytes, lines: dict[Path, int] | None = None) -> None:
        self._encoded = encoded
        self._lines = lines
        self._documents: list[Any] = []
        self._frames: list[_Frame] = []

    def build(self) -> Any:
        """Returns the document, or None if it is empty. Raises Malformed."""
        try:
            for event in yaml.parse(self._encoded, Loader=_LOADER):
                self._handle(event)
        except yaml.MarkedYAMLError as error:
            raise _not_yaml(error) from error
        except ReaderError as error:
            line = self._encoded.count(b"\n", 0, error.position) + 1
            raise Malformed(f"not valid YAML: {error.reason}", line=line) from error
        return self._documents[0] if self._documents else None

    def _handle(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._put(event.value if self._expects_key() else _value_of(event), event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin({} if isinstance(event, yaml.MappingStartEvent) else [], event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._frames.pop()
        elif isinstance(event, yaml.AliasEvent):
            raise Malformed(f"aliases are not supported; write out what *{event.anchor} stands for", line=_line(event))

    def _expects_key(self) -> bool:
        return bool(self._frames) and self._frames[-1].key is None and isinstance(self._frames[-1].container, dict)

    def _begin(self, container: list[Any] | dict[str, Any], event: yaml.Event) -> None:
        if len(self._frames) >= MAX_DEPTH:
            raise Malformed("nested too deeply", line=_line(event))
        self._frames.append(_Frame(container, self._put(container, event)))

    def _put(self, value: Any, event: yaml.Event) -> Path:
        """Adds `value` to the innermost list or mapping; returns its path."""
        if not self._frames:
            if self._documents:
                raise Malformed("a second document begins; write one list", line=_line(event))
            self._documents.append(value)
            return self._note((), event)
        frame = self._frames[-1]
        if isinstance(frame.container, list):
            frame.container.append(value)
            return self._note((*frame.path, len(frame.container) - 1), event)
        if frame.key is not None:
            path = (*frame.path, frame.key)
            frame.container[frame.key] = value
            frame.key = None
            return path
        if not isinstance(value, str):
            raise Malformed("a key is not text", line=_line(event))
        if value in frame.container:
            raise Malformed(f"the key {value} appears twice", line=_line(event))
        frame.key = value
        return self._note((*frame.path, value), event)

    def _note(self, path: Path, event: yaml.Event) -> Path:
        if self._lines is not None:
            self._lines[path] = _line(event)
        return path


def _not_yaml(error: yaml.MarkedYAMLError) -> Malformed:
    mark, problem = error.problem_mark, error.problem or "it cannot be read"
    if problem == "found unexpected end of stream":
        mark, problem = error.context_mark, f"{error.context}: it never ends"
    elif problem == "found character that cannot start any token":
        problem = "a tab, or a sign such as @ or %, begins a value: indent with blanks, and quote such signs"
    return Malformed(f"not valid YAML: {problem}", line=mark.line + 1 if mark else None)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _value_of(event: yaml.ScalarEvent) -> Any:
    if event.tag not in _TEXT_TAGS:
        raise Malformed(f"the tag {event.tag} is not supported", line=_line(event))
    is_plain = event.tag is None and event.implicit[0]
    return _plain_value(event.value) if is_plain else event.value


@lru_cache(maxsize=1024)
def _plain_value(text: str) -> Any:
    """Returns the value of unquoted `text` in YAML; dates stay text, since a game id may look like one."""
    tag = _resolver.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call] # the stubs leave it so
    if tag not in _NOT_TEXT:
        return text
    try:
        return _constructor.construct_object(yaml.ScalarNode(tag, text))
    except ValueError:
        return text
