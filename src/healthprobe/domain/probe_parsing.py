"""Probe settings as people write them: a JSON object, checked once when a record first appears or changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypeVar

from healthprobe.domain import probe_values as values
from healthprobe.domain.probe_settings import PLAIN, Expectation, ProbeKind, ProbeSettings, TlsSettings

_MOST_TICKS = 1000
_MOST_IN_A_ROW = 1000

Value = TypeVar("Value")


class InvalidSettings(ValueError):
    """Probe settings that cannot be followed. The message says where and what to write, in one line."""


@lru_cache(maxsize=4096)
def parse_settings(text: str) -> ProbeSettings:
    """The settings that `text`, a JSON object or nothing, tells. Raises InvalidSettings, and nothing else.

    >>> parse_settings('{"path": "/ready", "timeout": "500ms"}').timeout
    0.5
    """
    if not text:
        return PLAIN
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidSettings("they are not JSON") from None
    return settings_of(told)


def settings_of(told: object) -> ProbeSettings:
    """The settings that a JSON object tells which was read already. Raises InvalidSettings, and nothing else."""
    found = _Fields(told, "")
    settings = ProbeSettings(
        kind=found.read("kind", values.kind, ProbeKind.HTTP),
        path=found.read("path", values.path, None),
        port=found.read("port", values.port, None),
        host=found.read("host", values.host, None),
        method=found.read("method", values.method, "GET"),
        headers=found.read("headers", values.headers, ()),
        expect=found.read("expect", _expectation, Expectation()),
        timeout=found.read("timeout", values.seconds, None),
        every=found.read("every", values.up_to(_MOST_TICKS), 1),
        failures=found.read("failures", values.up_to(_MOST_IN_A_ROW), None),
        successes=found.read("successes", values.up_to(_MOST_IN_A_ROW), None),
        tls=found.read("tls", _tls, None),
        send=found.read("send", values.text, None),
        service=found.read("service", values.text, ""),
    )
    found.refuse_others()
    _refuse_contradictions(settings, set(found.told))
    return settings


class _Fields:
    """The fields of an object, each read once; what is left then is unknown."""

    def __init__(self, told: object, place: str) -> None:
        if not isinstance(told, Mapping):
            raise InvalidSettings(f"{place or 'they'} {'is' if place else 'are'} no mapping of names to values")
        self.told = told
        self._place = f"{place}." if place else ""
        self._known: list[str] = []

    def read(self, name: str, parse: Callable[[Any], Value], otherwise: Value) -> Value:
        self._known.append(name)
        if self.told.get(name) is None:
            return otherwise
        try:
            return parse(self.told[name])
        except values.Misfit as misfit:
            raise InvalidSettings(f"{self._place}{name}: {misfit}") from None

    def refuse_others(self) -> None:
        for name in self.told:
            if name in self._known:
                continue
            near = get_close_matches(str(name), self._known, n=1)
            advice = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(self._known)}"
            raise InvalidSettings(f'unknown key "{self._place}{values.shown(name)}" ({advice})')


def _expectation(value: Any) -> Expectation:
    found = _Fields(value, "expect")
    statuses = found.read("status", values.statuses, Expectation().statuses)
    contains = found.read("body_contains", values.body_text, None)
    path = found.read("json_path", values.json_path, None)
    known = "equals" in found.told
    equals = found.read("equals", values.scalar, None)
    found.refuse_others()
    if (path is None) == known:
        raise InvalidSettings('expect: "json_path" and "equals" go together: write both')
    return Expectation(statuses, contains, path, equals)


def _tls(value: Any) -> TlsSettings:
    found = _Fields(value, "tls")
    settings = TlsSettings(
        ca=found.read("ca", values.file, None),
        server_name=found.read("server_name", values.host, None),
        verify=found.read("verify", values.truth, True),
        certificate=found.read("certificate", values.file, None),
        key=found.read("key", values.file, None),
    )
    found.refuse_others()
    if settings.key is not None and settings.certificate is None:
        raise InvalidSettings('tls: a "key" without its "certificate": write both')
    if settings.ca is not None and not settings.verify:
        raise InvalidSettings(
            'tls: "ca" says whom to trust, and "verify": false that it does not matter: leave one out'
        )
    return settings


_OF_HTTP = ("path", "host", "method", "headers")


def _refuse_contradictions(settings: ProbeSettings, told: set[Any]) -> None:
    """What makes no sense together, or with this kind."""
    kind, expect = settings.kind, settings.expect
    if kind is not ProbeKind.HTTP:
        for name in _OF_HTTP:
            if name in told:
                raise InvalidSettings(f'"{name}" is for the kind http, and this is {kind}: leave it out')
        if expect.json_path is not None or expect.statuses != PLAIN.expect.statuses:
            raise InvalidSettings(f"expect: a status and a JSON body are for the kind http, and this is {kind}")
    if kind is not ProbeKind.TCP and settings.send is not None:
        raise InvalidSettings(f'"send" is for the kind tcp, and this is {kind}: leave it out')
    if kind is ProbeKind.GRPC and expect.body_contains is not None:
        raise InvalidSettings("expect: body_contains is for the kinds http and tcp: leave it out")
    if kind is not ProbeKind.GRPC and settings.service:
        raise InvalidSettings(f'"service" is for the kind grpc, and this is {kind}: leave it out')
    if settings.method == "HEAD" and expect.reads_body:
        raise InvalidSettings("an answer to HEAD has no body: write GET, or expect a status alone")
