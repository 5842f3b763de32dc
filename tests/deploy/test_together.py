"""The real program on the shipped servers has every permission that it needs, and its readiness probe is right."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.deploy import shipped_fixtures
from tests.deploy.shipped import ShippedNats
from tests.deploy.test_kubernetes import container_of
from tests.servers.ports import free_port
from tests.support.live_engine import LiveEngine
from tests.support.program import QUICK, Program, documents, next_document

nats = shipped_fixtures.nats

TIMEOUT = 60.0


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    yield program
    program.end()


def is_ready(port: int) -> bool:
    """Asks as the readiness probe of the manifest does."""
    path = container_of("healthprobe")["readinessProbe"]["httpGet"]["path"]
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=TIMEOUT) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not is_so():
        assert time.monotonic() < deadline, f"timed out: {what}"
        time.sleep(0.1)


def test_an_instance_is_ready_while_it_runs_and_has_every_permission_that_it_needs(
    nats: ShippedNats, program: Program
) -> None:
    cluster = {"HEALTHPROBE_CLUSTER": nats.url(), "HEALTHPROBE_LEASE": "1s"}
    records, log = {"HEALTHPROBE_RECORDS": nats.url()}, {"HEALTHPROBE_LOG": nats.url()}
    port = free_port()
    assert not is_ready(port)
    with LiveEngine() as engine:
        running = program.start(*QUICK, "--listen", f"127.0.0.1:{port}", **cluster)
        wait_until(lambda: is_ready(port) or running.poll() is not None, "a running instance is ready")
        assert running.poll() is None, running.communicate()
        assert program("runtimes", "add", "game-7", engine.endpoint, **records).returncode == 0
        engine.become(503)
        assert next_document(running)["id"] == "game-7:1"
        engine.become(200)
        assert next_document(running)["id"] == "game-7:2"
        running.terminate()
        assert running.wait(TIMEOUT) == 0
    wait_until(lambda: not is_ready(port), "one that has ended is not ready")
    events = documents(program("events", "--json", **log).stdout.splitlines())
    assert [event["id"] for event in events] == ["game-7:1", "game-7:2"]
    for command in ("incidents", "relays"):
        assert program(command, "--json", **log).returncode == 0
    assert program("runtimes", "remove", "game-7", **records).returncode == 0
    assert "Violation" not in nats.logged()
