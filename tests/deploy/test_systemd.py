"""The systemd units: systemd understands every line, they leave time for a stop, and ask for options that there are."""

import re
import shlex
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import typer
from tests.deploy.shipped import CONFIGURATION

from healthprobe._util.duration import parse_duration
from healthprobe.app.settings import DEFAULT_TIMEOUT
from healthprobe.cli.main import app

FOLDER = CONFIGURATION.parents[1] / "systemd"
UNITS = ("healthprobe.service", "healthprobe@.service", "nats-server.service")
OURS = ("healthprobe.service", "healthprobe@.service")
HARDENING = re.compile(r"Protect|Private|Restrict.*s$|System|Lock|Memory|Capability|NoNew|Remove|UMask|Dynamic")


def directives(unit: str) -> dict[str, list[str]]:
    """What the unit says, by the names of its directives."""
    found = defaultdict(list)
    for line in (FOLDER / unit).read_text().splitlines():
        name, told, value = line.partition("=")
        if told and not line.startswith("#"):
            found[name].append(value)
    return dict(found)


def assignments(environment: str) -> dict[str, str]:
    """The variables of an environment file, those that are only suggested as well."""
    lines = (FOLDER / environment).read_text().splitlines()
    return dict(re.findall(r"^#?([A-Z_]+)=(.*)$", "\n".join(lines), re.MULTILINE))


def variables_of_run() -> set[str]:
    command = typer.main.get_command(app).get_command(None, "run")  # type: ignore[attr-defined]
    variables: set[str] = set()
    for option in command.params:
        named = option.envvar or ()
        variables.update({named} if isinstance(named, str) else named)
    return variables


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_every_line(unit: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    told = (FOLDER / unit).read_text()
    program = directives(unit)["ExecStart"][0].split()[0]
    instance = tmp_path / unit.replace("@.", "@2.")
    instance.write_text(told.replace(f"ExecStart={program}", "ExecStart=/bin/true"))
    verified = subprocess.run(["systemd-analyze", "verify", instance], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.parametrize("unit", OURS)
def test_a_stop_has_the_time_that_it_is_promised(unit: str) -> None:
    [stop] = directives(unit)["TimeoutStopSec"]
    assert float(parse_duration(stop)) > float(DEFAULT_TIMEOUT) + 2


@pytest.mark.proves("service-hardening")
def test_all_parts_of_a_fleet_are_hardened_like_an_instance_of_a_cluster() -> None:
    [cluster, part] = [
        {name: values for name, values in directives(unit).items() if HARDENING.match(name)} for unit in OURS
    ]
    assert cluster == part
    assert len(cluster) > 15


@pytest.mark.parametrize("unit", OURS)
def test_what_is_started_is_a_command_line_of_ours(unit: str) -> None:
    [started] = directives(unit)["ExecStart"]
    _, command, *options = shlex.split(started.replace("%i", "2").replace("${HEALTHPROBE_SHARDS}", "5"))
    found = typer.main.get_command(app).get_command(None, command)  # type: ignore[attr-defined]
    found.make_context(command, options)


def test_every_variable_that_is_suggested_is_an_option_of_run() -> None:
    suggested = assignments("healthprobe.env")
    assert "HEALTHPROBE_CLUSTER" in suggested
    assert suggested.keys() <= variables_of_run()


def test_the_node_has_every_variable_that_its_configuration_reads() -> None:
    read = set(re.findall(r"^[^#\n]*[^\"$]\$(NATS_[A-Z_]+)", CONFIGURATION.read_text(), re.MULTILINE))
    [store] = directives("nats-server.service")["Environment"]
    assert read == {*assignments("nats-server.env"), store.partition("=")[0]}
