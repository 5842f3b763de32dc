"""docs/alerts.md does what it says: its ten minutes are run command by command, its URLs and numbers are real."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.servers.alertmanager import needs_alertmanager
from tests.servers.ports import free_port
from tests.support.program import clean_environment

from healthprobe.adapters.alertmanager import alerter
from healthprobe.adapters.alertmanager.address import parse_alertmanagers
from healthprobe.adapters.alertmanager.documents import VALID_FOR
from healthprobe.adapters.pagerduty.address import parse_service

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
PORTS = ("8080", "8600", "9093", "9099")
QUICK = {
    "HEALTHPROBE_INTERVAL": "500ms",
    "HEALTHPROBE_TIMEOUT": "400ms",
    "HEALTHPROBE_FAILURES": "2",
    "HEALTHPROBE_ALERT_WAIT": "0",
}


def section(heading: str) -> str:
    return PAGE.partition(f"## {heading}")[2].partition("\n## ")[0]


def script_of(text: str) -> str:
    """Returns the indented blocks as one script."""
    return "\n".join(line[4:] for line in text.splitlines() if line.startswith("    ") or not line)


@needs_alertmanager
def test_the_ten_minutes_fire_an_alert_and_resolve_it(tmp_path: Path) -> None:
    script = script_of(section("Ten minutes"))
    install, _, rest = script.partition("cat > receiver.py")
    assert [line.split()[0] for line in install.splitlines() if line] == ["apt-get", "pip"]
    script = f"set -e\ntrap 'kill $(jobs -p)' EXIT\ncat > receiver.py{rest}\nexec 2>&1\ncat told.txt\n"
    for port in PORTS:
        script = re.sub(rf"\b{port}\b", str(free_port()), script)
    for seconds in ("1s", "5s"):
        script = script.replace(f": {seconds}\n", ": 100ms\n")
    done = subprocess.run(
        ["bash", "-c", script.replace("sleep 1;", "sleep 0.1;")],
        cwd=tmp_path,
        env=clean_environment(QUICK) | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    log = (tmp_path / "healthprobe.log").read_text() if (tmp_path / "healthprobe.log").exists() else ""
    assert done.returncode == 0, done.stdout + done.stderr + log
    fired, resolved = (tmp_path / "told.txt").read_text().splitlines()
    assert fired.startswith("firing ")
    assert resolved.startswith("resolved ")
    assert "game-7" in fired
    assert "EngineNotAnswering" in done.stdout  # what amtool prints


@pytest.mark.parametrize("url", re.findall(r"--alert '?(alertmanager\+[^'\s]+)'?", PAGE))
def test_the_urls_of_alertmanagers_are_accepted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AM_PASSWORD", "secret")
    assert parse_alertmanagers(url.partition("&ca=")[0]).addresses


@pytest.mark.parametrize("url", re.findall(r"(pagerduty:[^\s`]+)", PAGE))
def test_the_urls_of_pagerduty_are_accepted(url: str) -> None:
    assert parse_service(url.replace("PLACE", "env:NAME")).name


def test_the_numbers_are_those_of_the_program() -> None:
    assert f"every {alerter.REPEAT_INTERVAL:g} seconds" in PAGE
    assert f"a day away ({VALID_FOR.total_seconds() / 3600:g} hours)" in PAGE
    assert f"hangs for {alerter.RESPONSE_TIMEOUT:g} s" in PAGE
    assert f"at most {alerter._MOST_ALERTS}\nalerts and about {alerter._MOST_BYTES // 1024} KiB" in PAGE
