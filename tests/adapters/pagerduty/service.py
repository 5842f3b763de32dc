"""PagerDuty's Events API v2 as published, on a real server: it keeps the alerts that are open by their dedup_key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import pytest
from aiohttp import web
from tests.servers.web import Answer, Asked, Script, WebServer

from healthprobe.adapters.pagerduty import PagerDutyAlerter

KEY = "0123456789abcdef0123456789ABCDEF"
_SEVERITIES = {"critical", "error", "warning", "info"}


class ScriptedPagerDuty:
    """A service with the integration key `KEY`. `script`, if it is set, answers in its place."""

    def __init__(self) -> None:
        self.server = WebServer(self._answer)
        self.script: Script | None = None
        self.open: dict[str, dict[str, Any]] = {}

    @property
    def events(self) -> list[dict[str, Any]]:
        """Returns all events that came, in order."""
        return [asked.document for asked in self.server.asked]

    @property
    def url(self) -> str:
        return f"pagerduty+http://127.0.0.1:{self.server.port}?key=env:PAGERDUTY_KEY"

    def alerter(
        self, monkeypatch: pytest.MonkeyPatch, *, page: str | None = None, timeout: float = 30.0
    ) -> PagerDutyAlerter:
        monkeypatch.setenv("PAGERDUTY_KEY", KEY)
        return PagerDutyAlerter.of_url(self.url, page=page, timeout=timeout)

    def open_labels(self) -> list[Mapping[str, str]]:
        return [event["payload"]["custom_details"] for event in self.open.values()]

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.server.__aexit__(kind, error, trace)

    async def _answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        if self.script is not None:
            return await self.script(request, asked)
        if (asked.method, asked.path) != ("POST", "/v2/enqueue"):
            return web.Response(status=404)
        event = asked.document
        if errors := _errors_in(event):
            refusal = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
            return await Answer(400, json.dumps(refusal).encode(), {"Content-Type": "application/json"})(request, asked)
        if event["event_action"] == "trigger":
            self.open[event["dedup_key"]] = event
        else:
            self.open.pop(event["dedup_key"], None)
        taken = {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
        return await Answer(202, json.dumps(taken).encode(), {"Content-Type": "application/json"})(request, asked)


def _errors_in(event: dict[str, Any]) -> list[str]:
    """Returns what the published API refuses."""
    errors = []
    if len(event.get("routing_key", "")) != 32:
        errors.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    if event.get("event_action") not in {"trigger", "acknowledge", "resolve"}:
        errors.append("'event_action' is invalid")
    if not 1 <= len(event.get("dedup_key", "")) <= 255:
        errors.append("Length of 'dedup_key' is incorrect (should be at most 255 characters)")
    if event.get("event_action") == "trigger":
        payload = event.get("payload", {})
        errors += [f"'payload.{name}' is missing or blank" for name in ("summary", "source") if not payload.get(name)]
        if len(payload.get("summary", "")) > 1024:
            errors.append("'payload.summary' is longer than 1024 characters")
        if payload.get("severity") not in _SEVERITIES:
            errors.append("'payload.severity' is invalid (must be one of the following: 'critical', ...)")
    return errors
