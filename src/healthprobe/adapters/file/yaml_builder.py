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

MAX_EXPANSION = 64 * 1024 * 1024
"""How many characters all aliases of a document may stand for."""

_VALUE = 8
"""What each value and each key counts more than its characters: its place in a list or mapping."""

Path = tuple[int | str, ...]
"""The place of a value in a document: indexes in lists and keys of mappings."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = (None, "!", f"{_TAG}str")
_NOT_TEXT = {f"{_TAG}{kind}" for kind in ("null", "bool", "int", "float")}
_MERGE_KEY = "<<"
_NOTHING = object()
_resolver = Resolver()
_constructor = SafeConstructor()


class Malformed(ValueError):
    """The document is not valid at `line`, counted from 1, or at `path`."""

    def __init__(self, message: str, *, line: int | None = None, path: Path = ()) -> None:
        super().__init__(message)
        self.line = line
        self.path = path


class _Frame:
    """A list or mapping that is being filled. `key` is the key whose value comes next; `path` is its place.

    `merged` is the value of its merge key, on `merge_line`, and `merges` whether that comes next.
    """

    __slots__ = ("anchor", "container", "key", "merge_line", "merged", "merges", "path")

    def __init__(self, container: list[Any] | dict[str, Any], path: Path, anchor: str | None) -> None:
        self.container = container
        self.key: str | None = None
        self.merges = False
        self.merged: Any = _NOTHING
        self.merge_line = 0
        self.path = path
        self.anchor = anchor

    def begin_merge(self, line: int) -> None:
        """Makes the next value that of the merge key. Raises Malformed at the second one."""
        if self.merged is not _NOTHING:
            raise Malformed(f"the key {_MERGE_KEY} appears twice; write {_MERGE_KEY}: [*one, *other]", line=line)
        self.merges = True
        self.merge_line = line


class YamlBuilder:
    """Builds one document. If `lines` is given, the line of each value is stored there by its path.

    An alias is the same object as the value that it stands for: nothing may be changed in a document.
    """

    def __init__(self, encoded: bytes, lines: dict[Path, int] | None = None) -> None:
        self._encoded = encoded
        self._lines = lines
        self._documents: list[Any] = []
        self._frames: list[_Frame] = []
        self._anchors: dict[str, Any] = {}
        self._sizes: dict[int, tuple[Any, int, int]] = {}
        self._expansion = 0

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
            self._put_scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin({} if isinstance(event, yaml.MappingStartEvent) else [], event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end(self._frames.pop())
        elif isinstance(event, yaml.AliasEvent):
            self._put(self._expanded(event), event)

    def _put_scalar(self, event: yaml.ScalarEvent) -> None:
        frame = self._frames[-1] if self._frames else None
        is_key = frame is not None and frame.key is None and not frame.merges and isinstance(frame.container, dict)
        if frame is not None and is_key and event.value == _MERGE_KEY and event.tag is None and event.implicit[0]:
            frame.begin_merge(_line(event))
            return
        value = event.value if is_key else _value_of(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        self._put(value, event)

    def _expanded(self, event: yaml.AliasEvent) -> Any:
        """Returns what an alias stands for, which is complete: no value is within itself."""
        if event.anchor not in self._anchors:
            raise Malformed(f"*{event.anchor} stands for nothing: no &{event.anchor} is above it", line=_line(event))
        value = self._anchors[event.anchor]
        size, depth = self._size_of(value)
        self._expansion += size
        if self._expansion > MAX_EXPANSION:
            most = MAX_EXPANSION // 1024 // 1024
            raise Malformed(f"its aliases stand for more than {most} MiB: write out fewer", line=_line(event))
        if len(self._frames) + depth > MAX_DEPTH:
            raise Malformed("nested too deeply", line=_line(event))
        return value

    def _size_of(self, value: Any) -> tuple[int, int]:
        """Returns how many characters and values are in `value`, aliases expanded, and how deep it nests."""
        if not isinstance(value, list | dict):
            return _VALUE + (len(value) if isinstance(value, str) else 0), 0
        if id(value) not in self._sizes:
            within = value if isinstance(value, list) else [*value, *value.values()]
            sizes = [self._size_of(each) for each in within]
            size = _VALUE + sum(size for size, _ in sizes)
            self._sizes[id(value)] = value, size, 1 + max((depth for _, depth in sizes), default=0)
        return self._sizes[id(value)][1:]

    def _begin(self, container: list[Any] | dict[str, Any], event: yaml.CollectionStartEvent) -> None:
        if len(self._frames) >= MAX_DEPTH:
            raise Malformed("nested too deeply", line=_line(event))
        self._frames.append(_Frame(container, self._put(container, event), event.anchor))

    def _end(self, frame: _Frame) -> None:
        if frame.merged is not _NOTHING and isinstance(frame.container, dict):
            for mapping in frame.merged if isinstance(frame.merged, list) else [frame.merged]:
                if not isinstance(mapping, dict):
                    raise Malformed(f"{_MERGE_KEY} takes a mapping or a list of mappings", line=frame.merge_line)
                for key, value in mapping.items():
                    frame.container.setdefault(key, value)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = frame.container

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
        if frame.merges:
            frame.merges, frame.merged = False, value
            return (*frame.path, _MERGE_KEY)
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
