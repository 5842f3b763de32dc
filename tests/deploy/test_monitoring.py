"""Dashboard and alerts as they are shipped ask for metrics that there are, and the alerts fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.virtual_time import in_virtual_time
from tests.telemetry.metrics.lively import text_of_a_lively_run
from tests.telemetry.metrics.scene import names, series

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = DEPLOY / "grafana" / "healthprobe.json"
PROMTOOL = shutil.which("promtool")
METRIC = re.compile(r"\b(?:healthprobe|process)_\w+")
MATCHER = re.compile(r'\b(state|outcome|event_type|kind)="(\w+)"')
GRAFANA = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}
WIDTH = 24

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed; it comes with Prometheus")


def promtool(*arguments: str) -> str:
    """What promtool says; it fails where promtool finds fault."""
    run = subprocess.run([str(PROMTOOL), *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@cache
def exposed() -> str:
    return in_virtual_time(text_of_a_lively_run())


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return document


def asked_by_the_dashboard() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for variable, value in GRAFANA.items():
                expression = expression.replace(variable, value)
            yield expression


def expressions() -> list[str]:
    return [*asked_by_the_dashboard(), *(rule["expr"] for rule in rules())]


@pytest.mark.parametrize("expression", expressions())
def test_what_is_asked_for_is_told(expression: str) -> None:
    told = series(exposed())
    assert set(METRIC.findall(expression)) <= names(told)
    for label, value in MATCHER.findall(expression):
        assert any((label, value) in named for _, named in told), f"{label} is never {value}"


def test_the_dashboard_shows_every_metric_that_is_told() -> None:
    asked = set(METRIC.findall(" ".join([*asked_by_the_dashboard(), json.dumps(dashboard()["templating"])])))
    told = {name.removesuffix("_sum") for name in names(series(exposed())) if name.startswith("healthprobe_")}
    missing = {name for name in told if name not in asked and not name.endswith("_count")}
    assert {name for name in missing if f"{name}_bucket" not in asked} == {"healthprobe_interval_seconds"}


def test_no_two_panels_of_the_dashboard_overlap_and_none_leaves_it() -> None:
    taken: set[tuple[int, int]] = set()
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= WIDTH
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_alert_says_what_is_the_matter_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
        assert len(rule["annotations"]["description"].split()) > 20, rule["alert"]


@needs_promtool
def test_promtool_takes_the_alerts() -> None:
    assert f"SUCCESS: {len(rules())} rules found" in promtool("check", "rules", str(ALERTS))


@needs_promtool
def test_the_alerts_fire_when_they_should_and_are_silent_else() -> None:
    promtool("test", "rules", str(ALERTS.with_name("alerts_test.yaml")))
    tested = ALERTS.with_name("alerts_test.yaml").read_text()
    for rule in rules():
        assert f'alertname="{rule["alert"]}", alertstate="firing"' in tested


@needs_promtool
def test_prometheus_can_read_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    written = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(asked_by_the_dashboard())]
    rules = tmp_path / "dashboard.yaml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": written}]}))
    promtool("check", "rules", "--lint=none", str(rules))
