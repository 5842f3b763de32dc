"""The systemd units are understood by systemd, leave time for a stop, and use options that exist."""

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
from healthprobe.cli.main import application
from healthprobe.status.trouble import STUCK_AFTER_LOG_OUTAGE

FOLDER = CONFIGURATION.parents[1] / "systemd"
UNITS = ("healthprobe.service", "healthprobe@.service", "nats-server.service")
PROBERS = ("healthprobe.service", "healthprobe@.service")
HARDENING = re.compile(r"Protect|Private|Restrict.*s$|System|Lock|Memory|Capability|NoNew|Remove|UMask|Dynamic")


def directives(unit: str) -> dict[str, list[str]]:
    """Returns the values of a unit's directives by name."""
    found = defaultdict(list)
    for line in (FOLDER / unit).read_text().splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found[name].append(value)
    return dict(found)


def assignments(environment: str) -> dict[str, str]:
    """Returns the variables of an environment file, also those that are commented out."""
    lines = (FOLDER / environment).read_text().splitlines()
    return dict(re.findall(r"^#?([A-Z_]+)=(.*)$", "\n".join(lines), re.MULTILINE))


def variables_of_run() -> set[str]:
    command = typer.main.get_command(application()).get_command(None, "run")  # type: ignore[attr-defined]
    variables: set[str] = set()
    for option in command.params:
        named = option.envvar or ()
        variables.update({named} if isinstance(named, str) else named)
    return variables


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_every_line(unit: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = (FOLDER / unit).read_text()
    program = directives(unit)["ExecStart"][0].split()[0]
    instance = tmp_path / unit.replace("@.", "@2.")
    instance.write_text(text.replace(f"ExecStart={program}", "ExecStart=/bin/true"))
    verified = subprocess.run(["systemd-analyze", "verify", instance], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.parametrize("unit", PROBERS)
def test_the_stop_timeout_is_longer_than_a_stop_takes(unit: str) -> None:
    [stop] = directives(unit)["TimeoutStopSec"]
    assert float(parse_duration(stop)) > float(DEFAULT_TIMEOUT) + 2


@pytest.mark.parametrize("unit", PROBERS)
def test_systemd_waits_for_a_prober_to_be_ready_and_watches_it(unit: str) -> None:
    found = directives(unit)
    assert (found["Type"], found["TimeoutStartSec"]) == (["notify"], ["infinity"]), "its servers may be down for hours"
    assert float(parse_duration(found["WatchdogSec"][0].removesuffix("in"))) >= 2 * STUCK_AFTER_LOG_OUTAGE


@pytest.mark.parametrize("unit", PROBERS)
def test_systemd_finds_little_that_a_prober_is_allowed_and_does_not_need(unit: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", FOLDER / unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, "its exposure is above 2.0 of 10"


@pytest.mark.proves("service-hardening")
def test_the_unit_of_a_fixed_part_is_hardened_like_that_of_an_instance() -> None:
    [cluster, part] = [
        {name: values for name, values in directives(unit).items() if HARDENING.match(name)} for unit in PROBERS
    ]
    assert cluster == part
    assert len(cluster) > 15


@pytest.mark.parametrize("unit", PROBERS)
def test_the_started_command_line_is_accepted(unit: str) -> None:
    [started] = directives(unit)["ExecStart"]
    _, command, *options = shlex.split(started.replace("%i", "2").replace("${HEALTHPROBE_SHARDS}", "5"))
    found = typer.main.get_command(application()).get_command(None, command)  # type: ignore[attr-defined]
    found.make_context(command, options)


def test_every_variable_of_the_template_is_an_option_of_run() -> None:
    suggested = assignments("healthprobe.env")
    assert "HEALTHPROBE_CLUSTER" in suggested
    assert suggested.keys() <= variables_of_run()


def test_the_nats_unit_sets_every_variable_that_its_configuration_reads() -> None:
    read = set(re.findall(r"^[^#\n]*[^\"$]\$(NATS_[A-Z_]+)", CONFIGURATION.read_text(), re.MULTILINE))
    [store] = directives("nats-server.service")["Environment"]
    assert read == {*assignments("nats-server.env"), store.partition("=")[0]}
