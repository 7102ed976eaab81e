"""`dchat signer next-key`: of the type that the key has, never on the disk without its passphrase, and by no other one;
and the command that tells the chain, where the node would never sign by the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crypto.keys import ED25519
from crypto.mldsa import ML_DSA_65
from dchat.cli.main import dchat
from dchat.home.home import Home
from dchat.home.key_file import KeyFile
from dchat.signer import files

PASSPHRASE = "correct horse battery"


def type_in(*words: object) -> Result:
    return CliRunner().invoke(dchat, list(map(str, words)))


def ok(*words: object) -> Result:
    done = type_in(*words)
    assert done.exit_code == 0, done.output
    return done


def sealed_home(tmp_path: Path, phrase: str = PASSPHRASE) -> Home:
    said = tmp_path / "phrase"
    said.write_text(f"{phrase}\n")
    said.chmod(0o600)
    home = Home.of(tmp_path / "home")
    ok("signer", "init", "--home", home.root, "--passphrase-file", said)
    (home.root / "validator-config.toml").write_text('[validator]\npassphrase_file = "../phrase"\n')
    return home


@pytest.mark.parametrize(("own", "asked", "made"), [
    (ED25519, "", ED25519), (ML_DSA_65, "", ML_DSA_65), (ED25519, ML_DSA_65, ML_DSA_65), (ML_DSA_65, ED25519, ED25519),
])  # fmt: skip
def test_it_has_the_type_of_the_key_or_the_one_that_is_asked_for(
    tmp_path: Path, own: str, asked: str, made: str
) -> None:
    """A chain of ML-DSA-65 alone takes no other."""
    home = Home.of(tmp_path)
    ok("signer", "init", "--home", tmp_path, "--key-type", own)
    ok("signer", "next-key", "--home", tmp_path, *(["--key-type", asked] if asked else []))
    assert KeyFile.read(home.next_validator_key).pub_key.type == made


def test_an_encrypted_one_is_never_there_without_its_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = sealed_home(tmp_path)
    written: list[str] = []
    write = files.write_new_secret

    def note(path: Path, text: str) -> None:
        written.append(text)
        write(path, text)

    monkeypatch.setattr(files, "write_new_secret", note)
    ok("signer", "next-key", "--home", home.root)
    assert len(written) == 2
    assert not [text for text in written if "priv_key" in text]
    assert KeyFile.read(home.next_validator_key).opened_by(PASSPHRASE).pub_key.type == ED25519


def test_a_passphrase_by_which_the_node_could_not_open_it_makes_none(tmp_path: Path) -> None:
    home = sealed_home(tmp_path)
    (tmp_path / "phrase").write_text("some other words\n")
    refused = type_in("signer", "next-key", "--home", home.root)
    assert refused.exit_code == 2, refused.output
    assert "is not the one that it was encrypted with" in " ".join(refused.output.split())
    assert not home.next_validator_key.exists()
    assert not home.next_sign_state.exists()


@pytest.mark.parametrize("options", [
    '[hsm]\nenable = true\nkms_key_id = "k"\naws_region = "r"\n',
    f'[validator]\npriv_validator_laddr = "unix:///run/s.sock"\npriv_validator_pub_key = "{"11" * 32}"\n',
])  # fmt: skip
def test_no_file_is_told_to_the_chain_where_the_key_is_held_elsewhere(tmp_path: Path, options: str) -> None:
    """A next key that was made before the key went to a token: from the block on nobody would sign."""
    ok("signer", "init", "--home", tmp_path)
    ok("signer", "next-key", "--home", tmp_path)
    (tmp_path / "validator-config.toml").write_text(options)
    refused = type_in("tx", "stake", "rotate-key", "--home", tmp_path, "--node", "127.0.0.1:1")
    assert refused.exit_code == 1, refused.output
    assert "its node never signs by a file" in " ".join(refused.output.split())


def test_the_record_is_of_the_next_key_alone(tmp_path: Path) -> None:
    ok("signer", "init", "--home", tmp_path)
    ok("signer", "next-key", "--home", tmp_path)
    home = Home.of(tmp_path)
    assert json.loads(home.next_sign_state.read_text()) == {"height": "0", "round": 0, "step": 0}
    again = type_in("signer", "next-key", "--home", tmp_path)
    assert again.exit_code == 2
    assert "is there already" in again.output or "exists" in again.output
