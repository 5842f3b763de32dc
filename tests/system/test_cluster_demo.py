"""The demo of a cluster, shortened: what it shows, and that it leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DEMO = (sys.executable, "-m", "cluster_demo")


def begun(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*DEMO, *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_shows_a_kill_and_a_takeover_in_eighty_columns_and_ends(tmp_path: Path) -> None:
    demo = begun(tmp_path, "--for", "5s")
    shown, errors = demo.communicate(timeout=PATIENCE)
    assert (demo.returncode, errors) == (0, "")
    assert max(len(line) for line in shown.splitlines()) <= 80
    text = " ".join(shown.split())
    assert re.search(r"kill -9 \d+\. It probes", text)
    assert re.search(r"all 256 are held again \d+\.\ds after the kill", text)
    assert re.search(r"delivered \d+\.\ds after quiz-\d+ crashed", text)
    assert "each game's alternate failed, recovered, without a gap" in text
    assert not list(tmp_path.iterdir())


def test_an_invalid_duration_is_refused_with_an_example(tmp_path: Path) -> None:
    demo = begun(tmp_path, "--for", "abc")
    _, errors = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 2
    assert "'abc' is not a duration: write numbers with units, such as 500ms, 5s or 1m30s" in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_running(number: signal.Signals, tmp_path: Path) -> None:
    demo = begun(tmp_path)
    try:
        assert demo.stdout is not None
        while "HEALTHPROBE_CLUSTER" not in demo.stdout.readline():
            assert demo.poll() is None
        started = psutil.Process(demo.pid).children(recursive=True)
        assert sum(process.name() == "nats-server" for process in started) == 3
        demo.send_signal(number)
        _, errors = demo.communicate(timeout=PATIENCE)
    finally:
        demo.kill()
        demo.communicate()
    assert (demo.returncode, errors) == (0, "")
    _, alive = psutil.wait_procs(started, timeout=PATIENCE)
    assert alive == []
    assert not list(tmp_path.iterdir())
