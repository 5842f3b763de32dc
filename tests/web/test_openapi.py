"""Responses to generated requests of every kind conform to the OpenAPI document."""

from __future__ import annotations

import asyncio
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from starlette.types import Receive, Scope, Send
from tests.support.few_instances import FewInstances
from tests.telemetry.metrics.monitored_worker import MonitoredWorker
from tests.web.client import app_of, get_json

from healthprobe.domain.outcome import HEALTHY
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import ticks
from healthprobe.web.openapi import openapi_document

_ANSWERED_IN_ONE_PIECE = {path: item for path, item in openapi_document()["paths"].items() if "stream" not in path}


class Living:
    """An application that is made at the first request, in the loop of that request."""

    def __init__(self) -> None:
        self._apps: dict[asyncio.AbstractEventLoop, Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        loop = asyncio.get_running_loop()
        if loop not in self._apps:
            monitored = MonitoredWorker(
                {"chess-1": UNAVAILABLE, "go-1": [HEALTHY, UNAVAILABLE], "ludo-1": HEALTHY}, cluster=FewInstances()
            )
            await ticks(monitored.worker, 4)
            self._apps[loop] = app_of(monitored)
        headers = [pair for pair in scope["headers"] if pair[0] != b"host"]
        await self._apps[loop]({**scope, "headers": [*headers, (b"host", b"127.0.0.1")]}, receive, send)


schema = schemathesis.openapi.from_dict({**openapi_document(), "paths": _ANSWERED_IN_ONE_PIECE})
schema.app = Living()


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_response_conforms_to_the_openapi_document(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate()


async def test_real_responses_are_valid_against_their_schemas() -> None:
    monitored = MonitoredWorker({"chess-1": UNAVAILABLE, "ludo-1": HEALTHY}, cluster=FewInstances())
    await ticks(monitored.worker, 3)
    document = await get_json(monitored, "/api/openapi.json")
    for path, name in {"fleet": "Fleet", "games": "Games", "games/chess-1": "GameDetails", "incidents": "Incidents",
                       "cluster": "Cluster", "events": "Events", "cells": "Cells"}.items():  # fmt: skip
        whole = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        Draft202012Validator(whole).validate(await get_json(monitored, f"/api/{path}"))
