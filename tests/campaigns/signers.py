"""Four validators, each signs by another kind, and their signers are taken away again and again.

    validator 1   the key in a file under a passphrase
    validator 2   `dchat signer` over TCP, or with --remote tmkms a signer that others wrote, TMKMS, which is killed
                  (kill -9) and started again
    validator 3   a PKCS#11 token (SoftHSM2), which is pulled out and put back
    validator 4   AWS KMS (a stand-in that verifies the requests), which is killed and started again

Each makes so many blocks; the remote signer is killed so often, at moments that the seed draws. At the end: no process
ended by itself, equal hashes on all nodes, every validator signed in the end, and no two different signatures for one
height, round and step in all logs together.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from consensus.documents.files import parse_validator_key
from crypto.keys import Ed25519PrivKey, Ed25519PubKey
from dchat.config import load
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Network, NodeEntry, Pace, make_network
from dchat.home.home import Home, load_public_key
from dchat.home.key_file import format_encrypted, format_held, replace_key_file
from dchat.signer.files import SignerFiles
from dchat.signer.token import Token
from tests.campaigns.harness import CampaignFailed, Testnet, folder_of, run_campaign, say, until
from tests.campaigns.logs import double_signatures, signatures
from tests.support.interop.signers import tmkms_command, tmkms_path
from tests.support.node.kms import ENVIRONMENT, REGION
from tests.support.node.token import LABEL, SoftToken, soft_token

PACE = Pace(block_time=0, timeout_propose=1_000, timeout_prevote=300, timeout_precommit=300, timeout_commit=100)
REMOTES = {"dchat": "dchat signer (TCP)", "tmkms": "TMKMS (TCP)"}
KINDS = {1: "file under a passphrase", 3: "SoftHSM2", 4: "KMS stand-in"}
REMOTE, TOKEN, SERVICE = 2, 3, 4
PASSPHRASE = "a phrase of the campaign"
GONE_S = 2.0  # at most
BLOCKS_S = 1_800.0
METRICS_BYTES_MAX = 1 << 22
CALM_BLOCKS = 20  # at the end, when every signer is there
HEIGHT_MAX = (1 << 63) - 1


@dataclass
class Signers:
    """What signs beside the nodes. Kills and starts block."""

    words: dict[str, list[str]]  # of "remote" and "kms"
    token: SoftToken
    log: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        with self.log.open("ab") as log:
            self.running[name] = subprocess.Popen(self.words[name], stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        if process.poll() is not None:
            raise CampaignFailed(f"{name} ended by itself, exit {process.returncode}: {self.log.read_text()[-2_000:]}")
        process.kill()
        process.wait()

    def pull_out(self) -> None:
        shutil.move(self.token.store, self.token.folder / "away")

    def put_back(self) -> None:
        shutil.move(self.token.folder / "away", self.token.store)


@contextlib.contextmanager
def signers_of(folder: Path, remote: str) -> Iterator[tuple[Testnet, Signers]]:
    """The homes, made for this; the signers run, the network does not yet."""
    ports = free_ports(6)
    network = make_network(folder / "net", pace=PACE, ports=ports[:4])
    keys = {node.index: _key(network, node) for node in network.nodes}
    homes = {node.index: Home.of(network.home_of(node)) for node in network.nodes}
    phrase = folder / "phrase"
    phrase.touch(0o600)
    phrase.write_text(PASSPHRASE)
    replace_key_file(homes[1].validator_key, format_encrypted(keys[1], PASSPHRASE))
    _add(homes[1], validator=f'passphrase_file = "{phrase}"\n')
    address = f"tcp://127.0.0.1:{ports[4].p2p}"
    files = SignerFiles(folder / "signer" / "key.json", folder / "signer" / "state.json")
    files.key.parent.mkdir()
    shutil.move(homes[REMOTE].validator_key, files.key)
    shutil.move(homes[REMOTE].sign_state, files.state)
    told = f'priv_validator_laddr = "{address}"\npriv_validator_pub_key = "{keys[REMOTE].pub_key.bytes.hex()}"\n'
    if remote == "dchat":  # TMKMS has a connection key of its own
        told += f'priv_validator_signer_id = "{files.load_node_key().id}"\n'
    _add(homes[REMOTE], validator=told)
    token = soft_token(folder / "token")
    os.environ.update(token.environment | ENVIRONMENT)  # the nodes are this process's children
    there = Token(token.library, LABEL, token.pin_file, "campaign")
    there.open()
    there.bring(keys[TOKEN])
    replace_key_file(homes[TOKEN].validator_key, format_held(keys[TOKEN].pub_key, "pkcs11"))
    _add(
        homes[TOKEN],
        hsm=f'pkcs11_library = "{token.library}"\npkcs11_slot = "{LABEL}"\npkcs11_pin_file = "{token.pin_file}"\n'
        'pkcs11_key_label = "campaign"\n',
    )
    replace_key_file(homes[SERVICE].validator_key, format_held(keys[SERVICE].pub_key, "kms"))
    _add(
        homes[SERVICE],
        hsm=f'kms_key_id = "key-0"\naws_region = "{REGION}"\nkms_endpoint = "http://127.0.0.1:{ports[5].p2p}"\n',
    )
    kms = [sys.executable, "-m", "tests.support.node.kms", str(ports[5].p2p), keys[SERVICE].bytes[:32].hex()]
    words = {"kms": kms, "remote": _remote_words(remote, files, address, network.chain_id)}
    signers = Signers(words, token, folder / "signers.log")
    try:
        for name in ("kms", "remote"):
            signers.start(name)
        yield Testnet(folder / "net"), signers
    finally:
        for process in signers.running.values():
            process.kill()
            process.wait()


def _remote_words(remote: str, files: SignerFiles, address: str, chain_id: str) -> list[str]:
    if remote == "dchat":
        return [
            sys.executable, "-m", "dchat", "signer", "--connect", address, "--chain-id", chain_id,
            "--key-file", str(files.key), "--state-file", str(files.state),
        ]  # fmt: skip
    if not tmkms_path().exists():
        raise CampaignFailed(f"{tmkms_path()} is missing: cargo install tmkms --features=softsign, then copy it there")
    return [str(word) for word in tmkms_command(files.key.parent, files, address, chain_id)]


def _key(network: Network, node: NodeEntry) -> Ed25519PrivKey:
    key = parse_validator_key(Home.of(network.home_of(node)).validator_key.read_bytes())
    assert isinstance(key, Ed25519PrivKey)
    return key


def _add(home: Home, *, validator: str = "", hsm: str = "") -> None:
    text = home.config_file.read_text()
    if validator:
        text = text.replace("[validator]\n", f"[validator]\n{validator}") if "[validator]\n" in text else (
            f"{text}\n[validator]\n{validator}"
        )  # fmt: skip
    home.config_file.write_text(f"{text}\n[hsm]\nenable = true\n{hsm}" if hsm else text)


def is_connected(net: Testnet, index: int) -> bool:
    """Whether this validator's signer is there, as its metrics say."""
    url = f"http://{net.network.host}:{net.network.node(index).ports.http}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return "\ndchat_signer_connected 1.0\n" in answer.read(METRICS_BYTES_MAX).decode()
    except OSError:
        return False


async def signer_is_there(net: Testnet, index: int) -> None:
    """What is taken away is there before: else a process would be killed that never signed."""

    async def there() -> bool:
        return await asyncio.to_thread(is_connected, net, index)

    await until(f"the signer of validator {index}", there, timeout_s=120)


async def one_loss(
    net: Testnet, rng: random.Random, what: str, index: int, lose: Callable[[], None], back: Callable[[], None]
) -> float:
    """Away for a moment that is drawn; blocks go on meanwhile, and it signs again. Returns how long it was away."""
    await signer_is_there(net, index)
    await asyncio.sleep(rng.uniform(0, 1))
    began = time.monotonic()
    before = await net.height(1)
    await asyncio.to_thread(lose)
    await asyncio.sleep(rng.uniform(0.2, GONE_S))
    await asyncio.to_thread(back)
    away = time.monotonic() - began

    async def goes_on() -> bool:
        return await net.height(1) >= before + 3

    await until(f"blocks while {what} was away", goes_on, timeout_s=60)
    return away


async def all_at(net: Testnet, height: int) -> bool:
    return min([await net.height(node.index) for node in net.nodes]) >= height


def signed_blocks(homes: list[Path], first: int, last: int) -> Counter[str]:
    """At how many of these heights a precommit of each validator is in some node's log."""
    found: set[tuple[str, int]] = set()
    for home in homes:
        found |= {(who, height) for (kind, who, height, _), _ in signatures(home) if kind == "vote 2"}
    return Counter(who for who, height in found if first <= height <= last)


async def campaign(folder: Path, *, seed: int, blocks: int, kills: int, others: int, remote: str = "dchat") -> None:
    """Raises CampaignFailed."""
    rng = random.Random(seed)
    with signers_of(folder, remote) as (net, signers):
        with net:
            pids = {node.index: net.pid(node.index) for node in net.nodes}
            await until("the first blocks", lambda: all_at(net, 3), timeout_s=180)
            first = await net.height(1) + 1  # on a busy machine some node began long after the others
            acts = [
                ("the remote signer", REMOTE, lambda: signers.kill("remote"), lambda: signers.start("remote"))
            ] * kills
            acts += [("the token", TOKEN, signers.pull_out, signers.put_back)] * others
            acts += [("the key service", SERVICE, lambda: signers.kill("kms"), lambda: signers.start("kms"))] * others
            rng.shuffle(acts)
            away: dict[str, list[float]] = {}
            for what, index, lose, back in acts:
                away.setdefault(what, []).append(await one_loss(net, rng, what, index, lose, back))
            await until(f"{blocks} blocks", lambda: all_at(net, first + blocks), timeout_s=BLOCKS_S)
            for what, times in away.items():
                say(f"  {what}: taken away {len(times)} times, {sum(times):.1f} s in all")
            for index in (REMOTE, TOKEN, SERVICE):
                await signer_is_there(net, index)
            top = await net.height(1)
            await until("blocks that all may sign", lambda: all_at(net, top + CALM_BLOCKS), timeout_s=120)
            if pids != {node.index: net.pid(node.index) for node in net.nodes}:
                raise CampaignFailed("a node ended and was started anew")
            say(f"equal hashes on all nodes at {await net.check_agreement()} heights, up to {await net.height(1)}")
            homes = net.homes
        report(net, homes, KINDS | {REMOTE: REMOTES[remote]}, first=first, blocks=blocks, calm=top + 1)


def report(net: Testnet, homes: list[Path], kinds: dict[int, str], *, first: int, blocks: int, calm: int) -> None:
    """kinds: by validator, who signs. calm: from which height on every signer was there. How many votes were missed
    before is the machine's pace."""
    slots, faults = double_signatures(homes)
    if faults:
        raise CampaignFailed("signed twice: " + "; ".join(faults[:5]))
    counts, again = signed_blocks(homes, first, first + blocks - 1), signed_blocks(homes, calm, HEIGHT_MAX)
    for node, home in zip(net.nodes, homes, strict=True):
        address = _address_of(Home.of(home))
        say(f"  validator {node.index}, {kinds[node.index]}: precommits at {counts[address]} of {blocks} heights")
        if not again[address]:
            raise CampaignFailed(f"validator {node.index} signs no more: nothing from height {calm} on")
    say(f"{slots} signatures in all logs together, no two for one height, round and step")


def _address_of(home: Home) -> str:
    if home.validator_key.exists():
        return load_public_key(home).address.hex()
    told = load(home.config_file, environment={}).config.validator.priv_validator_pub_key
    return Ed25519PubKey(bytes.fromhex(told)).address.hex()


async def main(arguments: argparse.Namespace) -> None:
    say(f"seed {arguments.seed}")
    with folder_of("signers") as folder:
        await campaign(
            folder,
            seed=arguments.seed,
            blocks=arguments.blocks,
            kills=arguments.kills,
            others=arguments.others,
            remote=arguments.remote,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20, help="of the remote signer")
    parser.add_argument("--others", type=int, default=5, help="losses of the token, and of the service")
    parser.add_argument("--remote", choices=sorted(REMOTES), default="dchat", help="who signs for validator 2")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    run_campaign(main(parser.parse_args()))
