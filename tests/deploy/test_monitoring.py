"""The shipped dashboard and alerts use metrics that exist, and the alerts fire when they should."""

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
from tests.telemetry.metrics.busy_run import metrics_text
from tests.telemetry.metrics.monitored_worker import names, parse_series

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
    """Returns the output of promtool; fails where promtool does."""
    run = subprocess.run([str(PROMTOOL), *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@cache
def exposed() -> str:
    return in_virtual_time(metrics_text())


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return document


def dashboard_expressions() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for variable, value in GRAFANA.items():
                expression = expression.replace(variable, value)
            yield expression


def expressions() -> list[str]:
    return [*dashboard_expressions(), *(rule["expr"] for rule in rules())]


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_and_label_that_is_queried_exists(expression: str) -> None:
    exposed_series = parse_series(exposed())
    assert set(METRIC.findall(expression)) <= names(exposed_series)
    for label, value in MATCHER.findall(expression):
        assert any((label, value) in named for _, named in exposed_series), f"{label} is never {value}"


def test_the_dashboard_shows_every_metric() -> None:
    asked = set(METRIC.findall(" ".join([*dashboard_expressions(), json.dumps(dashboard()["templating"])])))
    exposed_names = {
        name.removesuffix("_sum") for name in names(parse_series(exposed())) if name.startswith("healthprobe_")
    }
    missing = {name for name in exposed_names if name not in asked and not name.endswith("_count")}
    assert {name for name in missing if f"{name}_bucket" not in asked} == {"healthprobe_interval_seconds"}


def test_panels_of_the_dashboard_neither_overlap_nor_leave_the_grid() -> None:
    taken: set[tuple[int, int]] = set()
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= WIDTH
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_alert_has_a_severity_a_summary_and_a_description() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
        assert len(rule["annotations"]["description"].split()) > 20, rule["alert"]


@needs_promtool
def test_promtool_accepts_the_alerts() -> None:
    assert f"SUCCESS: {len(rules())} rules found" in promtool("check", "rules", str(ALERTS))


@needs_promtool
def test_every_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", str(ALERTS.with_name("alerts_test.yaml")))
    tested = ALERTS.with_name("alerts_test.yaml").read_text()
    for rule in rules():
        assert f'alertname="{rule["alert"]}", alertstate="firing"' in tested


@needs_promtool
def test_promtool_accepts_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    written = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(dashboard_expressions())]
    rules = tmp_path / "dashboard.yaml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": written}]}))
    promtool("check", "rules", "--lint=none", str(rules))
