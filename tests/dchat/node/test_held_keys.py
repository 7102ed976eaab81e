"""A node whose key is on a token or at a service: it makes blocks while that signs, and goes on while it does not."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consensus.documents.files import parse_validator_key
from consensus.privval.record import read_record
from consensus.system.disk import OsDisk
from crypto.keys import Ed25519PrivKey
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Network, make_network
from dchat.home.home import Home
from dchat.home.key_file import format_held, replace_key_file
from dchat.signer.token import Token
from tests.support.node.kms import ENVIRONMENT, REGION, kms_service
from tests.support.node.remote import down, move_key, signing
from tests.support.node.running import QUICK, Running, running_node, until
from tests.support.node.token import LABEL, soft_token

LOSSES = 3
pytestmark = pytest.mark.network


def make(folder: Path, held: str) -> tuple[Network, Ed25519PrivKey]:
    """A network of one, whose key file names the key alone; and the key."""
    network = make_network(folder, validators=1, pace=QUICK, ports=free_ports(1))
    home = Home.of(network.home_of(network.nodes[0]))
    key = parse_validator_key(home.validator_key.read_bytes())
    assert isinstance(key, Ed25519PrivKey)
    replace_key_file(home.validator_key, format_held(key.pub_key, held))
    return network, key


async def loses_it_again_and_again(running: Running, lose: Callable[[], object], back: Callable[[], object]) -> None:
    driver = running.node.driver
    for _ in range(LOSSES):
        await until(lambda: "signer" not in down(running))
        height = driver.state.last_block_height
        await until(lambda past=height: driver.state.last_block_height > past + 2)  # type: ignore[misc]
        lose()
        await until(lambda: "signer" in down(running))
        back()
    await until(lambda: "signer" not in down(running))
    height = driver.state.last_block_height
    await until(lambda: driver.state.last_block_height > height + 2)
    assert not running.failures


async def test_a_token_is_pulled_out_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failure 11."""
    soft = soft_token(tmp_path / "token")
    for name, value in soft.environment.items():
        monkeypatch.setenv(name, value)
    network, key = make(tmp_path / "net", "pkcs11")
    token = Token(soft.library, LABEL, soft.pin_file, "node")
    token.open()
    token.bring(key)
    options = (
        f'\n[hsm]\nenable = true\npkcs11_library = "{soft.library}"\npkcs11_slot = "{LABEL}"\n'
        f'pkcs11_pin_file = "{soft.pin_file}"\npkcs11_key_label = "node"\n'
    )
    away = tmp_path / "away"
    with capture_logs() as logs:
        async with running_node(tmp_path / "net", options=options) as running:
            await loses_it_again_and_again(
                running, lambda: shutil.move(soft.store, away), lambda: shutil.move(away, soft.store)
            )
            signed = running.node.driver.state.last_block_height
    assert sum("is lost" in line["event"] for line in logs) == LOSSES  # said once each
    assert read_record(OsDisk(), Home.of(network.home_of(network.nodes[0])).sign_state).height >= signed


async def test_kms_refuses_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    _, key = make(tmp_path / "net", "kms")
    with kms_service() as kms, capture_logs():
        kms.keys["one"] = key
        options = f'\n[hsm]\nenable = true\nkms_key_id = "one"\naws_region = "{REGION}"\nkms_endpoint = "{kms.url}"\n'
        async with running_node(tmp_path / "net", options=options) as running:
            await loses_it_again_and_again(running, lambda: kms.refuse.add("Sign"), kms.refuse.clear)


async def test_a_signer_of_ours_signs_by_a_token_and_the_token_is_pulled_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signer's connection is what is lost then; the vote is asked for again when the token is back."""
    soft = soft_token(tmp_path / "token")
    for name, value in soft.environment.items():
        monkeypatch.setenv(name, value)
    (ports, node_ports) = free_ports(2)
    network = make_network(tmp_path / "net", validators=1, pace=QUICK, ports=[node_ports])
    address = f"tcp://127.0.0.1:{ports.p2p}"
    files = move_key(network, tmp_path / "signer", address)
    key = files.load_key()
    assert isinstance(key, Ed25519PrivKey)
    token = Token(soft.library, LABEL, soft.pin_file, "vault")
    token.open()
    token.bring(key)
    replace_key_file(files.key, format_held(key.pub_key, "pkcs11"))
    away = tmp_path / "away"
    with capture_logs():
        async with contextlib.AsyncExitStack() as until_end:
            await until_end.enter_async_context(signing(files, address, network.chain_id, *soft.flags("vault")))
            running = await until_end.enter_async_context(running_node(tmp_path / "net"))
            await loses_it_again_and_again(
                running, lambda: shutil.move(soft.store, away), lambda: shutil.move(away, soft.store)
            )
