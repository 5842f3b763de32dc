"""The real program on the shipped servers: it may do all that it does, and Kubernetes' question has a true answer."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.deploy import shipped_fixtures
from tests.deploy.shipped import ShippedNats
from tests.deploy.test_kubernetes import container_of
from tests.surfaces.live_engine import LiveEngine
from tests.surfaces.program import QUICK, Program, clean_environment, documents, next_document

nats = shipped_fixtures.nats

PATIENCE = 30.0


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    yield program
    program.end()


def is_ready(nats: ShippedNats) -> bool:
    """Run the readiness probe as it stands in the manifest, with what a container would have around it."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    environment = clean_environment({"PATH": path, "HEALTHPROBE_CLUSTER": nats.url()})
    command = container_of("healthprobe")["readinessProbe"]["exec"]["command"]
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=PATIENCE).returncode == 0


def until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, f"it never came that {what}"
        time.sleep(0.1)


def test_an_instance_is_ready_as_long_as_it_is_in_the_cluster_and_is_refused_nothing_that_it_does(
    nats: ShippedNats, program: Program
) -> None:
    cluster = {"HEALTHPROBE_CLUSTER": nats.url(), "HEALTHPROBE_LEASE": "1s"}
    records, log = {"HEALTHPROBE_RECORDS": nats.url()}, {"HEALTHPROBE_LOG": nats.url()}
    assert not is_ready(nats)
    with LiveEngine() as engine:
        running = program.start(*QUICK, **cluster)
        until(lambda: is_ready(nats) or running.poll() is not None, "a running instance is ready")
        assert running.poll() is None, running.communicate()
        assert program("runtimes", "add", "game-7", engine.endpoint, **records).returncode == 0
        engine.become(503)
        assert next_document(running)["id"] == "game-7:1"
        engine.become(200)
        assert next_document(running)["id"] == "game-7:2"
        running.terminate()
        assert running.wait(PATIENCE) == 0
    until(lambda: not is_ready(nats), "one that has ended is not ready")
    told = documents(program("events", "--json", **log).stdout.splitlines())
    assert [event["id"] for event in told] == ["game-7:1", "game-7:2"]
    for command in ("incidents", "relays"):
        assert program(command, "--json", **log).returncode == 0
    assert program("runtimes", "remove", "game-7", **records).returncode == 0
    assert "Violation" not in nats.logged()
