"""Parses the probe settings of a record, a JSON object, once when the record appears or changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypeVar

from healthprobe.domain.probe import probe_values as parse
from healthprobe.domain.probe.probe_settings import PLAIN, Expectation, ProbeKind, ProbeSettings, TlsSettings

_MOST_TICKS = 1000
_MOST_IN_A_ROW = 1000

Value = TypeVar("Value")


class InvalidSettings(ValueError):
    """Invalid probe settings. The message says where, and what to write, in one line.

    `path` has the names that lead to the setting, if it is about one.
    """

    def __init__(self, message: str, *path: str) -> None:
        super().__init__(message)
        self.path = path


@lru_cache(maxsize=4096)
def parse_settings(text: str, defaults: ProbeSettings = PLAIN) -> ProbeSettings:
    """Returns the settings in `text`, a JSON object or empty. Raises InvalidSettings and nothing else.

    >>> parse_settings('{"path": "/ready", "timeout": "500ms"}').timeout
    0.5
    """
    if not text:
        return defaults
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidSettings("they are not JSON") from None
    return settings_from(document, defaults)


def settings_from(document: object, defaults: ProbeSettings = PLAIN) -> ProbeSettings:
    """Returns the settings in a decoded JSON object. Raises InvalidSettings and nothing else.

    What it does not name is as in `defaults`; headers are added to those there, by name. With another kind than theirs,
    defaults that not every kind has do not apply.
    """
    found = _Fields(document, "")
    kind = found.read("kind", parse.kind, defaults.kind)
    if kind is not defaults.kind:
        defaults = _of_every_kind(defaults)
    settings = ProbeSettings(
        kind=kind,
        path=found.read("path", parse.path, defaults.path),
        port=found.read("port", parse.port, defaults.port),
        host=found.read("host", parse.host, defaults.host),
        method=found.read("method", parse.method, defaults.method),
        headers=_with_headers(defaults.headers, found.read("headers", parse.headers, ())),
        expect=found.read("expect", _expectation, defaults.expect),
        timeout=found.read("timeout", parse.seconds, defaults.timeout),
        every=found.read("every", parse.integer_up_to(_MOST_TICKS), defaults.every),
        failures=found.read("failures", parse.integer_up_to(_MOST_IN_A_ROW), defaults.failures),
        successes=found.read("successes", parse.integer_up_to(_MOST_IN_A_ROW), defaults.successes),
        tls=found.read("tls", _tls, defaults.tls),
        send=found.read("send", parse.text, defaults.send),
        service=found.read("service", parse.text, defaults.service),
    )
    found.refuse_unknown()
    _refuse_contradictions(settings, set(found.values))
    return settings


def _of_every_kind(settings: ProbeSettings) -> ProbeSettings:
    """Returns the settings that a game of any kind can have."""
    return ProbeSettings(
        port=settings.port,
        timeout=settings.timeout,
        every=settings.every,
        failures=settings.failures,
        successes=settings.successes,
        tls=settings.tls,
    )


def _with_headers(
    defaults: tuple[tuple[str, str], ...], headers: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    named = {name.lower() for name, _ in headers}
    return (*(each for each in defaults if each[0].lower() not in named), *headers)


class _Fields:
    """The fields of a JSON object. Each is read once; those left are unknown."""

    def __init__(self, document: object, place: str) -> None:
        if not isinstance(document, Mapping):
            message = f"{place or 'they'} {'is' if place else 'are'} not an object with names and values"
            raise InvalidSettings(message, *([place] if place else []))
        self.values = document
        self._path = (place,) if place else ()
        self._place = f"{place}." if place else ""
        self._known: list[str] = []

    def read(self, name: str, parser: Callable[[Any], Value], default: Value) -> Value:
        self._known.append(name)
        if self.values.get(name) is None:
            return default
        try:
            return parser(self.values[name])
        except parse.InvalidValue as invalid:
            raise InvalidSettings(f"{self._place}{name}: {invalid}", *self._path, name) from None

    def refuse_unknown(self) -> None:
        for name in self.values:
            if name in self._known:
                continue
            near = get_close_matches(str(name), self._known, n=1)
            advice = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(self._known)}"
            raise InvalidSettings(f'unknown key "{self._place}{parse.quote(name)}" ({advice})', *self._path, str(name))


def _expectation(value: Any) -> Expectation:
    found = _Fields(value, "expect")
    statuses = found.read("status", parse.statuses, Expectation().statuses)
    contains = found.read("body_contains", parse.body_text, None)
    path = found.read("json_path", parse.json_path, None)
    has_equals = "equals" in found.values
    equals = found.read("equals", parse.scalar, None)
    found.refuse_unknown()
    if (path is None) == has_equals:
        raise InvalidSettings('expect: "json_path" and "equals" go together: write both')
    return Expectation(statuses, contains, path, equals)


def _tls(value: Any) -> TlsSettings:
    found = _Fields(value, "tls")
    settings = TlsSettings(
        ca=found.read("ca", parse.file, None),
        server_name=found.read("server_name", parse.host, None),
        verify=found.read("verify", parse.boolean, True),
        certificate=found.read("certificate", parse.file, None),
        key=found.read("key", parse.file, None),
    )
    found.refuse_unknown()
    if settings.key is not None and settings.certificate is None:
        raise InvalidSettings('tls: a "key" without its "certificate": write both')
    if settings.ca is not None and not settings.verify:
        raise InvalidSettings('tls: "ca" names a certificate to verify, and "verify": false accepts any: leave one out')
    return settings


_HTTP_ONLY = ("path", "method", "headers")


def _refuse_contradictions(settings: ProbeSettings, names: set[Any]) -> None:
    """Raises InvalidSettings for settings that exclude each other or do not apply to this kind."""
    kind, expect = settings.kind, settings.expect
    if kind is not ProbeKind.HTTP:
        for name in _HTTP_ONLY:
            if name in names:
                raise InvalidSettings(f'"{name}" is for the kind http, and this is {kind}: leave it out')
        if expect.json_path is not None or expect.statuses != PLAIN.expect.statuses:
            raise InvalidSettings(f"expect: a status and a JSON body are for the kind http, and this is {kind}")
    if kind is ProbeKind.TCP and "host" in names:
        raise InvalidSettings('"host" is for the kinds http and grpc, and this is tcp: leave it out')
    if kind is not ProbeKind.TCP and settings.send is not None:
        raise InvalidSettings(f'"send" is for the kind tcp, and this is {kind}: leave it out')
    if kind is ProbeKind.GRPC and expect.body_contains is not None:
        raise InvalidSettings("expect: body_contains is for the kinds http and tcp: leave it out")
    if kind is not ProbeKind.GRPC and settings.service:
        raise InvalidSettings(f'"service" is for the kind grpc, and this is {kind}: leave it out')
    if settings.method == "HEAD" and expect.reads_body:
        raise InvalidSettings("an answer to HEAD has no body: write GET, or expect a status alone")
