"""`check`: one probe of each endpoint, reported in the order given."""

from __future__ import annotations

import time

import pytest
from tests.support.program import CommandLine, Program, documents
from tests.support.terminal_session import OpenTerminal, assert_readable

from healthprobe.domain.outcome import Inconclusive, ProbeOutcome
from healthprobe.domain.target import ProbeTarget
from healthprobe.testing.engines import Script
from healthprobe.testing.fleet import FleetProcess

FLEET = {"steady": Script(), "failing": Script(((0.0, 503),)), "hanging": Script(((0.0, "hang"),))}


def test_each_endpoint_gets_one_verdict_in_the_order_given(program: Program) -> None:
    with FleetProcess(FLEET) as fleet:
        steady, failing, hanging = (fleet.endpoints[game_id] for game_id in FLEET)
        endpoints = [steady, failing, steady, "http://127.0.0.1:1", "ftp://127.0.0.1", hanging]
        ended = program("check", *endpoints, "--timeout", "200ms")
    told = documents(ended.stdout.splitlines())
    assert ended.returncode == 1
    assert {tuple(each) for each in told} == {("endpoint", "healthy", "last_status", "last_error", "duration_ms")}
    assert [each["endpoint"] for each in told] == endpoints
    assert [(each["healthy"], each["last_status"]) for each in told] == [
        (True, 200),
        (False, 503),
        (True, 200),
        (False, 0),
        (False, 0),
        (False, 0),
    ]
    assert [each["last_error"] for each in told[:4]] == ["", "unexpected status 503", "", "connection refused"]
    assert told[4]["last_error"].startswith("invalid endpoint:")
    assert "timed out after 200ms" in told[5]["last_error"]
    assert 150 <= told[5]["duration_ms"] <= 3_000


def test_all_endpoints_are_probed_concurrently(command_line: CommandLine) -> None:
    with FleetProcess({f"hanging-{number}": Script(((0.0, "hang"),)) for number in range(20)}) as fleet:
        began = time.monotonic()
        command_line("check", *fleet.endpoints.values(), "--timeout", "1s")
    assert time.monotonic() - began < 12.0, "one after the other they would take 20 s"


def test_all_healthy_exits_0(command_line: CommandLine) -> None:
    with FleetProcess({"steady": Script()}) as fleet:
        assert command_line("check", fleet.endpoints["steady"], "--json").code == 0


def test_credentials_are_shown_nowhere(command_line: CommandLine) -> None:
    with FleetProcess(FLEET) as fleet:
        secret = fleet.endpoints["failing"].replace("http://", "http://user:secret@")
        told = command_line("check", secret, "http://user:secret@127.0.0.1:1", "user:secret@nowhere", "--timeout", "1s")
    assert told.code == 1
    assert len(told.out) == 3
    assert "secret" not in "".join(told.out + told.err)
    assert documents(told.out)[1]["endpoint"] == "http://***@127.0.0.1:1"


def test_a_fault_of_the_prober_is_inconclusive_and_exits_1(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def inconclusive(_self: object, _target: ProbeTarget) -> ProbeOutcome:
        return Inconclusive("too many open files")

    monkeypatch.setattr("healthprobe.probing.http.HTTPProber.probe", inconclusive)
    told = command_line("check", "http://127.0.0.1:1")
    [document] = documents(told.out)
    assert told.code == 1
    assert (document["healthy"], document["last_status"]) == (None, 0)
    assert document["last_error"] == "inconclusive: too many open files"


def test_verbose_writes_every_step_to_standard_error_and_the_verdict_to_standard_output(program: Program) -> None:
    with FleetProcess(FLEET) as fleet:
        endpoint = fleet.endpoints["failing"].replace("127.0.0.1", "user:secret@localhost")
        ended = program("check", "--verbose", endpoint, fleet.endpoints["steady"])
    failing, steady = documents(ended.stdout.splitlines())
    assert ended.returncode == 1
    assert (failing["healthy"], failing["last_status"], failing["last_error"]) == (False, 503, "unexpected status 503")
    assert steady["healthy"]
    words = ended.stderr.split()
    steps = ["resolved", "connected", "sent", "received", "verdict"]
    assert [word for word in words if word in steps] == steps + steps[1:]
    assert ended.stderr.startswith(failing["endpoint"] + "\n")
    for told in ("GET /healthz HTTP/1.1", "HTTP/1.1 503", "failed: unexpected status 503", "Authorization: ***"):
        assert told in ended.stderr
    assert "secret" not in ended.stdout + ended.stderr


def test_verbose_fits_a_terminal_and_uses_its_colours(terminal: OpenTerminal) -> None:
    with FleetProcess({"steady": Script()}) as fleet:
        session = terminal("check", "--verbose", fleet.endpoints["steady"])
        assert session.end() == 0
    assert_readable(session)


def test_verbose_writes_steps_while_an_engine_hangs(terminal: OpenTerminal) -> None:
    with FleetProcess({"hanging": Script(((0.0, "hang"),))}) as fleet:
        session = terminal("check", "--verbose", fleet.endpoints["hanging"], "--timeout", "20s")
        session.read_until("GET /healthz")
        assert "verdict" not in session.screen
