"""The subject's key goes to a signer of its own, which is lost; and comes back home."""

from __future__ import annotations

import shutil
import subprocess
import sys

from dchat.devnet.leases import lease_ports
from dchat.home.home import Home
from dchat.signer.files import SignerFiles
from tests.support.node.remote import move_key
from tests.support.runbooks.world import SUBJECT, World


def elsewhere(world: World) -> None:
    world.stop(SUBJECT)
    world.signer_at = f"tcp://127.0.0.1:{lease_ports(1)[0]}"
    world.signer = move_key(world.network, world.folder / "vault", world.signer_at, index=SUBJECT)
    shutil.copy(world.signer.state, Home.of(world.home(SUBJECT)).sign_state)  # its own second look goes on
    world.until_end.callback(lost, world)
    again(world)
    world.start(SUBJECT)
    world.until("the network is well", world.is_well)


def again(world: World) -> None:
    files = world.signer
    assert files is not None
    world.signing = subprocess.Popen(
        [sys.executable, "-m", "dchat", "signer", "--connect", world.signer_at, "--chain-id",
         world.network.chain_id, "--key-file", str(files.key), "--state-file", str(files.state)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def lost(world: World) -> None:
    signing, world.signing = world.signing, None
    if signing is not None:
        signing.kill()
        signing.wait()


def home_again(world: World) -> None:
    """The key and its record, as they are now: both are moved, and nobody signs meanwhile."""
    world.stop(SUBJECT)
    signing, world.signing = world.signing, None
    assert signing is not None
    signing.terminate()  # in good order: all of the record is in its file then
    signing.wait(60)
    files: SignerFiles | None = world.signer
    assert files is not None
    home = Home.of(world.home(SUBJECT))
    shutil.move(files.key, home.validator_key)
    shutil.move(files.state, home.sign_state)
    shutil.rmtree(world.folder / "vault")
    world.write_options(SUBJECT)
    world.start(SUBJECT)
