"""The Helm chart: Helm's own lint, and what it renders by the schemas of Kubernetes and of Prometheus' operator."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from dchat.cli.main import dchat
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from dchat.home.home import Home
from dchat.signer.files import SignerFiles
from tests.support.interop.tools import copied, found, go_tool, npm_installed
from tests.support.node.certificates import Authority
from tests.support.node.running import running_node

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


def test_a_validator_is_called_by_every_name_that_the_cluster_gives_it_and_goes_where_it_is_let() -> None:
    """From another namespace its door said that it is not called so; KMS and S3 were out of reach."""
    more = [{"ports": [{"port": 443, "protocol": "TCP"}]}]
    objects = rendered("--namespace", "chain", "--set-json", f"networkPolicy.egress={json.dumps(more)}")
    (policy,) = of_kind(objects, "NetworkPolicy")
    assert policy["spec"]["egress"][-1:] == more
    env = of_kind(objects, "StatefulSet")[0]["spec"]["template"]["spec"]["containers"][0]["env"]
    (said,) = [item["value"] for item in env if item["name"] == "DCHAT_HTTP__ALLOWED_HOSTS"]
    name = of_kind(objects, "StatefulSet")[0]["metadata"]["name"]
    assert said.split(",") == [name, f"{name}.chain", f"{name}.chain.svc", f"{name}.chain.svc.cluster.local"]


def test_what_is_switched_off_is_not_there() -> None:
    objects = rendered("--set", "networkPolicy.enabled=false,serviceMonitor.enabled=false")
    assert of_kind(objects, "NetworkPolicy") == of_kind(objects, "ServiceMonitor") == []


def test_the_schemas_find_a_word_that_kubernetes_does_not_know() -> None:
    with pytest.raises(AssertionError, match="StatefulSet net-validator-1"):
        rendered("--set", "resources.limits.memory=null,resources.limits=none")


def tls_values(folder: Path, **more: Any) -> list[str]:
    """All secrets for the first of two validators, and for the other none."""
    first = {"name": "validator-1", "secret": "keys-1", "tlsSecret": "tls-1"} | more.pop("first", {})
    told = {"validators": [first, {"name": "validator-2", "secret": "keys-2"}], **more}
    (folder / "values.json").write_text(json.dumps(told))
    return ["--values", str(folder / "values.json")]


def probes_of(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Starting, living, ready: what each does."""
    names = ("startupProbe", "livenessProbe", "readinessProbe")
    return [{k: v for k, v in pod["containers"][0][name].items() if k in ("httpGet", "exec")} for name in names]


def test_doors_with_tls_are_probed_by_tls_and_their_files_come_from_a_secret(tmp_path: Path) -> None:
    """With [tls] set the probes asked without TLS: the pod was restarted for ever."""
    one, other = (s["spec"]["template"]["spec"] for s in of_kind(rendered(*tls_values(tmp_path)), "StatefulSet"))
    assert [probe["httpGet"].get("scheme") for probe in probes_of(one)] == ["HTTPS"] * 3
    assert [probe["httpGet"].get("scheme") for probe in probes_of(other)] == [None] * 3
    told = {item["name"]: item["value"] for item in one["containers"][0]["env"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in one["containers"][0]["volumeMounts"]}
    assert Path(told["DCHAT_TLS_CERT"]).parent == Path(told["DCHAT_TLS_KEY"]).parent == Path(mounts["tls"])
    assert [volume["secret"]["secretName"] for volume in one["volumes"] if volume["name"] == "tls"] == ["tls-1"]
    assert "tls" not in {volume["name"] for volume in other["volumes"]}
    in_home = rendered("--set", "config.tls.cert_file=/elsewhere/tls.crt")  # by options alone
    assert "HTTPS" in json.dumps(of_kind(in_home, "StatefulSet")[0])
    refused = helm("template", "net", str(CHART), "--kube-version", KUBERNETES, "--set", "tls.clientCaDoors={ftp}")
    assert "clientCaDoors" in refused.stderr


def test_who_asks_clients_at_grpc_alone_is_probed_over_https(tmp_path: Path) -> None:
    objects = rendered(*tls_values(tmp_path, tls={"clientCaSecret": "ca"}))
    one, other = (s["spec"]["template"]["spec"] for s in of_kind(objects, "StatefulSet"))
    assert "httpGet" in probes_of(one)[0]
    told = {item["name"]: item["value"] for item in one["containers"][0]["env"]}
    assert told["DCHAT_GRPC__CLIENT_CA_FILE"] == "/run/dchat/client-ca/ca.crt"
    assert "DCHAT_HTTP__CLIENT_CA_FILE" not in told
    assert "DCHAT_GRPC__CLIENT_CA_FILE" not in json.dumps(other), "without TLS nobody can be asked"


def test_metrics_over_tls_are_read_by_tls(tmp_path: Path) -> None:
    tls = {"clientCaSecret": "ca", "clientCaDoors": ["metrics"]}
    how = {"ca": {"secret": {"name": "ca", "key": "ca.crt"}}, "serverName": "net"}
    objects = rendered(
        *tls_values(
            tmp_path, tls=tls, config={"observability": {"metrics_tls": True}}, serviceMonitor={"tlsConfig": how}
        )
    )
    (endpoint,) = of_kind(objects, "ServiceMonitor")[0]["spec"]["endpoints"]
    assert (endpoint["scheme"], endpoint["tlsConfig"]) == ("https", how)
    assert "DCHAT_OBSERVABILITY__METRICS_CLIENT_CA_FILE" in json.dumps(of_kind(objects, "StatefulSet")[0])


def notes(folder: Path, *words: str) -> str:
    """NOTES.txt, which Helm shows beside a cluster alone: as a text of an object."""
    chart = shutil.copytree(CHART, folder / "chart", dirs_exist_ok=True)
    text = (chart / "templates" / "NOTES.txt").read_text()
    (chart / "templates" / "shown.yaml").write_text(
        '{{ define "shown" }}' + text + '{{ end }}{"kind": "Shown", "text": {{ include "shown" . | toJson }}}\n'
    )
    made = helm(
        "template", "net", str(chart), "--show-only", "templates/shown.yaml", "--kube-version", KUBERNETES, *words
    )
    assert made.returncode == 0, made.stderr
    document = made.stdout[made.stdout.index("{") :]
    return str(json.loads(document)["text"])


def test_the_notes_say_what_tls_asks_of_the_operator(tmp_path: Path) -> None:
    assert "TLS" not in notes(tmp_path)
    assert "Renewed certificates are used without a restart" in notes(tmp_path, *tls_values(tmp_path))
    tls = {"clientCaSecret": "people", "clientCaDoors": ["http", "metrics"]}
    told = " ".join(notes(tmp_path, *tls_values(tmp_path, tls=tls)).split())
    assert "with the certificate of tls-1, which must be good for clients, too" in told
    assert "vouched for by people" in told
    assert "serviceMonitor.tlsConfig" in told


@pytest.mark.network
async def test_the_probes_of_a_door_that_asks_who_calls_are_answered(tmp_path: Path) -> None:
    """As the pod types them, beside a node with that door; with a stranger's certificate they fail."""
    values = tls_values(tmp_path, tls={"clientCaSecret": "ca", "clientCaDoors": ["grpc", "http"]})
    pod = of_kind(rendered(*values), "StatefulSet")[0]["spec"]["template"]["spec"]
    commands = [probe["exec"]["command"] for probe in probes_of(pod)]
    told = {item["name"]: item["value"] for item in pod["containers"][0]["env"]}
    assert told["DCHAT_HTTP__CLIENT_CA_FILE"] == told["DCHAT_GRPC__CLIENT_CA_FILE"]
    root = Authority(tmp_path, "root")
    door, strangers = root.vouch("validator.example"), Authority(tmp_path / "other", "root").vouch("probe")
    options = f'\n[tls]\ncert_file = "{door.cert}"\nkey_file = "{door.key}"\n'
    bin_path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    async with running_node(tmp_path / "node", options=options, http=f'client_ca_file = "{root.file}"\n') as running:
        home = running.network.home_of(running.network.nodes[0])
        for files, code in ((door, 0), (strangers, 4)):
            here = {"/run/dchat/tls/tls.crt": str(files.cert), "/run/dchat/tls/tls.key": str(files.key)}
            shown = {name: here[told[name]] for name in ("DCHAT_NODE_TLS_CERT", "DCHAT_NODE_TLS_KEY")}
            for command in commands:
                done = await asyncio.to_thread(
                    subprocess.run, command, env={"PATH": bin_path, "DCHAT_HOME": str(home), **shown},
                    capture_output=True, text=True, timeout=60, check=False,
                )  # fmt: skip
                assert (done.returncode == 0) == (code == 0), (command, done.stdout, done.stderr)


class Pod:
    """Of validator-1: what is mounted there, and the home in its volume."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.objects = rendered("--set", "chainId=dchat-testnet", *words)
        self.spec = of_kind(self.objects, "StatefulSet")[0]["spec"]["template"]["spec"]
        network = make_network(folder / "net", validators=1, ports=free_ports(1))
        made = network.home_of(network.nodes[0])
        self.mounted, self.home = folder / "run", Home.of(folder / "home")
        for name in ("config", "genesis", "keys"):
            (self.mounted / name).mkdir(parents=True)
        self.home.root.mkdir()
        options = of_kind(self.objects, "ConfigMap")[0]["data"]["validator-config.toml"]
        (self.mounted / "config" / "validator-config.toml").write_text(options)
        (self.mounted / "genesis" / "genesis.json").write_bytes((made / "config" / "genesis.json").read_bytes())
        for name in SECRETS:
            source = made / name if name == "identity.json" else made / "config" / name
            (self.mounted / "keys" / name).write_bytes(source.read_bytes())
            (self.mounted / "keys" / name).chmod(0o440)

    @property
    def secret(self) -> Path:
        return self.mounted / "keys" / "priv_validator_key.json"

    def start(self) -> str:
        """The first container's script; returns what it says."""
        script = self.spec["initContainers"][0]["args"][0].replace("/run/dchat", str(self.mounted))
        words = ["/bin/sh", "-ec", script]
        done = subprocess.run(words, cwd=self.home.root, capture_output=True, text=True, check=True, timeout=30)
        return done.stdout + done.stderr

    def validated(self) -> subprocess.CompletedProcess[str]:
        told = {item["name"]: item["value"] for item in self.spec["containers"][0]["env"]}
        here = {name: re.sub(r"0\.0\.0\.0", "127.0.77.9", value) for name, value in told.items()}
        return subprocess.run(
            [sys.executable, "-m", "dchat", "validator", "--validate"], env={**here, "DCHAT_HOME": str(self.home.root)},
            capture_output=True, text=True, timeout=120, check=False, cwd=CHART.parents[2],
        )  # fmt: skip


def test_the_first_container_makes_a_home_that_a_node_finds_well(tmp_path: Path) -> None:
    """Its script, in folders: keys come with any mode and lie there 0600, options and genesis are the chart's."""
    pod = Pod(tmp_path, "--set", "neverSigned={validator-1}")
    for _ in range(2):  # at each start of the pod
        assert pod.start() == ""
    home = pod.home
    kept = [home.identity, home.node_key, home.validator_key, home.sign_state]
    assert [path.stat().st_mode & 0o777 for path in kept] == [0o600] * 4
    options = tomllib.loads(home.config_file.read_text())
    assert options["validator"] == {"moniker": "validator-1", "chain_id": "dchat-testnet"}
    told = {item["name"]: item["value"] for item in pod.spec["containers"][0]["env"]}
    assert told["DCHAT_BOOTSTRAP_NODES"] == ",".join(f"net-validator-{index}-p2p:26656" for index in (2, 3, 4))
    done = pod.validated()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_passphrase_and_a_pin_lie_in_memory_for_the_node_alone(tmp_path: Path) -> None:
    """The key's file is encrypted: its passphrase comes from a secret of its own, and never into the volume."""
    values = tls_values(tmp_path, first={"passphraseSecret": "words-1", "pinSecret": "pin-1"})
    pod = Pod(tmp_path, *values, "--set", "neverSigned={validator-1}")
    for name, text in (("passphrase", "long words\n"), ("pin", "1234\n")):
        (pod.mounted / name).mkdir()
        (pod.mounted / name / name).write_text(text)
        (pod.mounted / name / name).chmod(0o440)
    (pod.mounted / "secrets").mkdir()
    words = ["encrypt-key", "--key-file", str(pod.secret), "--state-file", str(pod.mounted / "keys" / "record.json")]
    (pod.mounted / "keys" / "record.json").write_text('{"height":"0","round":0,"step":0}')
    for file in (pod.secret, pod.mounted / "keys" / "record.json", pod.mounted / "passphrase" / "passphrase"):
        file.chmod(0o600)
    words += ["--passphrase-file", str(pod.mounted / "passphrase" / "passphrase")]
    assert CliRunner().invoke(dchat, ["signer", *words]).exit_code == 0
    for _ in range(2):
        assert pod.start() == ""
    kept = pod.mounted / "secrets"
    assert {path.name: path.stat().st_mode & 0o777 for path in kept.iterdir()} == {"passphrase": 0o600, "pin": 0o600}
    assert not [path for path in pod.home.root.rglob("*") if path.is_file() and b"long words" in path.read_bytes()]
    volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
    assert volumes["secrets"]["emptyDir"]["medium"] == "Memory"
    told = {item["name"]: item["value"] for item in pod.spec["containers"][0]["env"]}
    places = (told["DCHAT_VALIDATOR__PASSPHRASE_FILE"], told["DCHAT_HSM__PKCS11_PIN_FILE"])
    assert places == ("/run/dchat/secrets/passphrase", "/run/dchat/secrets/pin")
    files = SignerFiles(pod.home.validator_key, pod.home.sign_state, kept / "passphrase")
    assert files.load_key_file().encrypted
    assert files.load_key().pub_key == files.load_key_file().pub_key


def test_a_volume_without_a_record_of_signing_starts_no_node_unless_its_key_never_signed(tmp_path: Path) -> None:
    """Audit 75: without the word no first start came to be, and each operator wrote an empty record by hand."""
    pod = Pod(tmp_path)  # its volume is lost, say
    pod.start()
    assert not pod.home.sign_state.exists()
    done = pod.validated()
    assert done.returncode == 2
    assert "priv_validator_state.json is missing" in done.stdout + done.stderr
    named = Pod(tmp_path / "again", "--set", "neverSigned={validator-1}")
    named.start()
    named.home.sign_state.unlink()  # of a home that had one: nothing makes it anew
    named.start()
    assert not named.home.sign_state.exists()


def test_the_secrets_key_takes_the_place_of_no_key_that_the_validator_changed_over_to(tmp_path: Path) -> None:
    """Audit 76: after a rotation the volume had the only copy of the new key, and the pod's next start wrote the old
    one over it."""
    pod = Pod(tmp_path, "--set", "neverSigned={validator-1}")
    pod.start()
    home = pod.home
    SignerFiles(home.next_validator_key, home.next_sign_state).make()
    home.validator_key.rename(home.root / "retired.json")  # between two steps of a change, where a stop came
    assert "the home's, which stays" in pod.start()
    assert not home.validator_key.exists()
    home.next_validator_key.rename(home.validator_key)
    home.next_sign_state.replace(home.sign_state)
    new = home.validator_key.read_bytes()
    assert "the home's, which stays" in pod.start()
    assert home.validator_key.read_bytes() == new
    pod.secret.chmod(0o640)
    pod.secret.write_bytes(new)
    assert pod.start() == ""
