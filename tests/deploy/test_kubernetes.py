"""The Kubernetes manifests match the schemas, need no privileges, and refer to names that exist."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from tests.deploy import shipped_fixtures
from tests.deploy.shipped import CONFIGURATION, ShippedNats
from tests.deploy.test_systemd import variables_of_run

from healthprobe.app.settings import DEFAULT_TIMEOUT, TOKEN

nats = shipped_fixtures.nats

FOLDER = CONFIGURATION.parents[1] / "kubernetes"
OLDEST, NEWEST = "1.29", "1.37"

FILES = [FOLDER / name for name in ("nats.yaml", "healthprobe.yaml", "network.yaml")]
MANIFESTS: list[dict[str, Any]] = [manifest for file in FILES for manifest in yaml.safe_load_all(file.read_text())]


def manifest(kind: str, name: str) -> dict[str, Any]:
    [found] = [each for each in MANIFESTS if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pod_of(name: str) -> dict[str, Any]:
    pod: dict[str, Any] = manifest("StatefulSet", name)["spec"]["template"]["spec"]
    return pod


def container_of(name: str) -> dict[str, Any]:
    [container] = pod_of(name)["containers"]
    return dict(container)


def environment_of(name: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in container_of(name)["env"]}


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_no_field_is_wrong_or_unknown(version: str) -> None:
    command = [
        sys.executable,
        "-m",
        "kubernetes_validate",
        "--strict",
        "--kubernetes-version",
        version,
        *map(str, FILES),
    ]
    validated = subprocess.run(command, capture_output=True, text=True, check=False)
    assert validated.returncode == 0, validated.stdout + validated.stderr


def test_kustomize_includes_every_manifest_and_the_shipped_configuration() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    rendered = subprocess.run(["kubectl", "kustomize", FOLDER], capture_output=True, text=True, check=True).stdout
    made = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(rendered)}
    [(name, content)] = [(name, each["data"]) for (kind, name), each in made.items() if kind == "ConfigMap"]
    assert content == {"nats-server.conf": CONFIGURATION.read_text()}
    [volume] = made["StatefulSet", "nats"]["spec"]["template"]["spec"]["volumes"]
    assert volume["configMap"]["name"] == name
    assert len(made) == len(MANIFESTS) + 1


@pytest.mark.proves("container-privileges")
@pytest.mark.parametrize("name", ["nats", "healthprobe"])
def test_no_container_has_privileges(name: str) -> None:
    pod, container = pod_of(name), container_of(name)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"].keys() == {"memory"}


@pytest.mark.parametrize("name", ["nats", "healthprobe"])
def test_every_selector_matches_the_pods_of_its_workload(name: str) -> None:
    workload = manifest("StatefulSet", name)["spec"]
    labels = workload["template"]["metadata"]["labels"]
    assert workload["selector"]["matchLabels"] == labels
    assert workload["serviceName"] == name
    assert manifest("Service", name)["spec"]["selector"] == labels
    assert manifest("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"] == labels
    assert manifest("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"] == labels
    for spread in pod_of(name)["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"] == labels


def test_ports_are_those_of_the_configuration() -> None:
    ports = {each["name"]: each["containerPort"] for each in container_of("nats")["ports"]}
    assert set(ports.values()) == set(
        map(int, re.findall(r"^\s*port: (\d+)$", CONFIGURATION.read_text(), re.MULTILINE))
    )
    assert {each["name"]: each["port"] for each in manifest("Service", "nats")["spec"]["ports"]} == ports
    allowed = manifest("NetworkPolicy", "nats")["spec"]["ingress"]
    assert {port["port"] for rule in allowed for port in rule["ports"]} == set(ports)


def test_only_pods_with_the_reader_label_reach_the_page_and_the_metrics() -> None:
    [listens] = container_of("healthprobe")["ports"]
    assert environment_of("healthprobe")["HEALTHPROBE_LISTEN"]["value"].endswith(f":{listens['containerPort']}")
    [rule] = manifest("NetworkPolicy", "healthprobe")["spec"]["ingress"]
    assert rule["ports"] == [{"port": listens["name"]}]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"healthprobe": "reader"}}}]


def test_urls_name_every_node_of_nats_and_no_other() -> None:
    nodes = [f"nats-{number}.nats" for number in range(manifest("StatefulSet", "nats")["spec"]["replicas"])]
    assert re.findall(r"@([\w.-]+):6222", environment_of("nats")["NATS_ROUTES"]["value"]) == nodes
    url = urlsplit(environment_of("healthprobe")["HEALTHPROBE_CLUSTER"]["value"])
    assert url.netloc.rpartition("@")[2].split(",") == [f"{node}:4222" for node in nodes]


def test_every_variable_is_read_and_comes_after_the_variables_that_it_uses() -> None:
    read = set(re.findall(r"^[^#\n]*[^\"$]\$(NATS_[A-Z_]+)", CONFIGURATION.read_text(), re.MULTILINE))
    assert environment_of("nats").keys() - {"GOMEMLIMIT"} == read
    assert environment_of("healthprobe").keys() - {"NATS_PASSWORD", TOKEN} <= variables_of_run()
    for name in ("nats", "healthprobe"):
        known: list[str] = []
        for variable in container_of(name)["env"]:
            assert set(re.findall(r"\$\((\w+)\)", variable.get("value", ""))) <= set(known)
            known.append(variable["name"])


def test_passwords_are_in_the_secret_alone_under_the_keys_that_the_command_creates() -> None:
    made = re.findall(r"--from-literal=(\w+)=", (FOLDER / "kustomization.yaml").read_text())
    wanted = [
        variable["valueFrom"]["secretKeyRef"]
        for name in ("nats", "healthprobe")
        for variable in container_of(name)["env"]
        if "PASSWORD" in variable["name"] or variable["name"] == TOKEN
    ]
    assert {each["name"] for each in wanted} == {"nats-passwords"}
    assert {each["key"] for each in wanted} == set(made)


def test_the_grace_period_is_longer_than_a_stop_takes() -> None:
    assert pod_of("healthprobe")["terminationGracePeriodSeconds"] > float(DEFAULT_TIMEOUT) + 2


def test_a_drain_takes_one_pod_at_a_time() -> None:
    for name in ("nats", "healthprobe"):
        assert manifest("PodDisruptionBudget", name)["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_a_healthy_node_passes_its_probes(probe: str, nats: ShippedNats) -> None:
    url = urlsplit(container_of("nats")[probe]["exec"]["command"][-1])
    assert f'http: "{url.netloc}"' in CONFIGURATION.read_text()
    assert nats.monitoring(0, f"{url.path}?{url.query}") == {"status": "ok"}


def test_the_volume_is_larger_than_max_file_store() -> None:
    [claim] = manifest("StatefulSet", "nats")["spec"]["volumeClaimTemplates"]
    [allowed] = re.findall(r"max_file_store: (\d+)GB", CONFIGURATION.read_text())
    assert int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) > int(allowed)
    mounts = {mount["name"]: mount["mountPath"] for mount in container_of("nats")["volumeMounts"]}
    assert mounts[claim["metadata"]["name"]] == environment_of("nats")["NATS_STORE"]["value"]
    assert Path(container_of("nats")["args"][-1]).parent == Path(mounts["configuration"])
