"""The exposition is valid for Prometheus, and docs/metrics.md lists every metric."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from tests.support.virtual_time import in_virtual_time
from tests.telemetry.metrics.busy_run import metric_families, metrics_text
from tests.telemetry.metrics.monitored_worker import MonitoredWorker

from healthprobe.telemetry.collector import exposition, registry_of
from healthprobe.testing.prober import UNAVAILABLE
from healthprobe.testing.stage import ticks

PROMTOOL = shutil.which("promtool")
DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
ROW = re.compile(r"\| `(\w+)` \| (\w+) \|([^|]*)\|")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed; it comes with Prometheus")
def test_promtool_accepts_the_exposition() -> None:
    text = in_virtual_time(metrics_text())
    checked = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=30
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_content_type_is_the_text_format_that_every_prometheus_reads() -> None:
    async def content_type() -> str:
        return exposition(registry_of(MonitoredWorker({}).collector))[1]

    assert in_virtual_time(content_type()) == "text/plain; version=0.0.4; charset=utf-8"


def test_the_process_metrics_are_included() -> None:
    text = in_virtual_time(metrics_text())
    assert re.search(r"^process_resident_memory_bytes \d", text, re.MULTILINE)
    assert "python_gc" not in text


def test_the_docs_list_every_metric_with_its_type_and_labels_and_no_other() -> None:
    documented = {name: (kind, set(re.findall(r"`(\w+)`", named))) for name, kind, named in ROW.findall(_document())}
    exported = {}
    for family in in_virtual_time(metric_families()):
        named = {label for sample in family.samples for label in sample.labels} - {"le"}
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        exported[name] = ("gauge" if family.type == "info" else family.type, named)
    assert documented == exported


def test_a_scrape_of_a_thousand_incidents_blocks_the_loop_only_briefly() -> None:
    async def play() -> float:
        monitored = MonitoredWorker({f"game-{number}": UNAVAILABLE for number in range(1_000)})
        await ticks(monitored.worker, 3)
        await monitored.status.refresh()
        registry = registry_of(monitored.collector)
        took = []
        for _ in range(5):
            began = time.perf_counter()
            exposition(registry)
            took.append(time.perf_counter() - began)
        return min(took)

    assert in_virtual_time(play()) < 0.1


def _document() -> str:
    return DOCUMENT.read_text()
