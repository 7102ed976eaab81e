"""The Helm chart: Helm's own lint, and what it renders by the schemas of Kubernetes and of Prometheus' operator."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from tests.support.interop.tools import copied, found, go_tool, npm_installed

CHART: Final = Path(__file__).parents[2] / "deploy" / "helm" / "dchat"
PROGRAM: Final = Path(__file__).parent / "programs" / "kubernetes"
KUBERNETES: Final = "1.31.0"
SECRETS: Final = ("node_key.json", "priv_validator_key.json", "identity.json")
pytestmark = [pytest.mark.go, pytest.mark.node]


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    tool = go_tool("helm", "helm.sh/helm/v3/cmd/helm", "v3.18.6")
    return subprocess.run([tool, *words], capture_output=True, text=True, timeout=60, check=False)


def rendered(*words: str) -> list[dict[str, Any]]:
    """Objects, each as its schema says. Raises AssertionError."""
    node, npm = found("node", "install Node.js"), found("npm", "install npm to fetch kubernetes-models")
    folder = copied(PROGRAM, "kubernetes")
    npm_installed("kubernetes-models", folder=folder, npm=npm)
    made = helm("template", "net", str(CHART), "--kube-version", KUBERNETES, *words)
    assert made.returncode == 0, made.stderr
    checked = subprocess.run(
        [node, folder / "validate.mjs"], input=made.stdout, capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stderr
    objects: list[dict[str, Any]] = json.loads(checked.stdout)
    return objects


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in objects if one["kind"] == kind]


def test_helm_lints_the_chart_and_refuses_values_that_make_no_sense() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout
    for wrong in (["--set-json", "validators=[]"], ["--set", "validators[0].name=Upper"], ["--set", "chainId="]):
        refused = helm("template", "net", str(CHART), "--kube-version", KUBERNETES, *wrong)
        assert refused.returncode != 0, wrong


def test_each_validator_is_a_set_of_one_with_its_own_keys() -> None:
    objects = rendered()
    sets = of_kind(objects, "StatefulSet")
    assert len(sets) == 4
    secrets = []
    for one in sets:
        assert one["spec"]["replicas"] == 1
        pod = one["spec"]["template"]["spec"]
        secrets.append([volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume])
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in (*pod["containers"], *pod["initContainers"]):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        probes = {name: pod["containers"][0][name]["httpGet"]["path"] for name in ("livenessProbe", "readinessProbe")}
        assert probes == {"livenessProbe": "/health", "readinessProbe": "/ready"}
    assert secrets == [[f"dchat-validator-{index}"] for index in range(1, 5)]
    (budget,) = of_kind(objects, "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    (policy,) = of_kind(objects, "NetworkPolicy")
    doors = [{port["port"] for port in rule["ports"]} for rule in policy["spec"]["ingress"]]
    assert doors == [{"p2p"}, {"http", "grpc", "rpc"}, {"metrics"}]
    (monitor,) = of_kind(objects, "ServiceMonitor")
    assert monitor["spec"]["jobLabel"] == "app.kubernetes.io/name"  # whose value is the job that the rules name
    assert monitor["metadata"]["labels"]["app.kubernetes.io/name"] == "dchat"


def test_what_is_switched_off_is_not_there() -> None:
    objects = rendered("--set", "networkPolicy.enabled=false,serviceMonitor.enabled=false")
    assert of_kind(objects, "NetworkPolicy") == of_kind(objects, "ServiceMonitor") == []


def test_the_schemas_find_a_word_that_kubernetes_does_not_know() -> None:
    with pytest.raises(AssertionError, match="StatefulSet net-validator-1"):
        rendered("--set", "resources.limits.memory=null,resources.limits=none")


def test_the_first_container_makes_a_home_that_a_node_finds_well(tmp_path: Path) -> None:
    """Its script, in folders: keys come with any mode and lie there 0600, options and genesis are the chart's."""
    objects = rendered("--set", "chainId=dchat-testnet")
    pod = of_kind(objects, "StatefulSet")[0]["spec"]["template"]["spec"]
    network = make_network(tmp_path / "net", validators=1, ports=free_ports(1))
    made = network.home_of(network.nodes[0])
    mounted, home = tmp_path / "run", tmp_path / "home"
    for name in ("config", "genesis", "keys"):
        (mounted / name).mkdir(parents=True)
    home.mkdir()
    (mounted / "config" / "validator-config.toml").write_text(
        of_kind(objects, "ConfigMap")[0]["data"]["validator-config.toml"]
    )
    (mounted / "genesis" / "genesis.json").write_bytes((made / "config" / "genesis.json").read_bytes())
    for name in SECRETS:
        source = made / name if name == "identity.json" else made / "config" / name
        (mounted / "keys" / name).write_bytes(source.read_bytes())
        (mounted / "keys" / name).chmod(0o440)
    script = pod["initContainers"][0]["args"][0].replace("/run/dchat", str(mounted))
    for _ in range(2):  # at each start of the pod
        subprocess.run(["/bin/sh", "-ec", script], cwd=home, check=True, timeout=30)
    kept = [home / "identity.json", home / "config" / "node_key.json", home / "config" / "priv_validator_key.json"]
    assert [path.stat().st_mode & 0o777 for path in kept] == [0o600] * 3
    options = tomllib.loads((home / "validator-config.toml").read_text())
    assert options["validator"] == {"moniker": "validator-1", "chain_id": "dchat-testnet"}
    told = {item["name"]: item["value"] for item in pod["containers"][0]["env"]}
    assert told["DCHAT_BOOTSTRAP_NODES"] == ",".join(f"net-validator-{index}-p2p:26656" for index in (2, 3, 4))
    (home / "data" / "priv_validator_state.json").write_bytes((made / "data/priv_validator_state.json").read_bytes())
    here = {name: re.sub(r"0\.0\.0\.0", "127.0.77.9", value) for name, value in told.items()} | {
        "DCHAT_HOME": str(home)
    }
    done = subprocess.run(
        [sys.executable, "-m", "dchat", "validator", "--validate"], env=here, capture_output=True, text=True,
        timeout=120, check=False, cwd=CHART.parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
