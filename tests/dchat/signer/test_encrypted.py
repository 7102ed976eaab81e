"""A key file under a passphrase: what needs the secret asks for it, what does not need it does not."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chain.tx.messages.economy import possession_hash
from crypto.bech32 import encode_address
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey
from crypto.mldsa import MlDsa65PubKey
from dchat.cli.main import dchat
from dchat.home.errors import HomeError
from dchat.home.home import Home, load_public_key, load_validator_key
from dchat.home.key_file import KeyFile, format_encrypted, format_held

PASSPHRASE = "correct horse battery"
KEY = Ed25519PrivKey.from_seed(b"k" * 32)


def type_in(*words: object) -> Result:
    return CliRunner().invoke(dchat, list(map(str, words)))


def secret(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def sealed() -> str:
    return format_encrypted(KEY, PASSPHRASE)


def test_a_key_is_encrypted_shown_used_and_decrypted_and_stays_the_same(tmp_path: Path) -> None:
    home, phrase = tmp_path / "home", secret(tmp_path / "phrase", f"{PASSPHRASE}\nwhat follows is not of it\n")
    assert type_in("signer", "init", "--home", home).exit_code == 0
    shown = type_in("signer", "show", "--output", "text", "--home", home).output.splitlines()
    file = home / "config" / "priv_validator_key.json"
    plain = file.read_text()
    done = type_in("signer", "encrypt-key", "--home", home, "--passphrase-file", phrase)
    assert done.exit_code == 0, done.output
    assert file.stat().st_mode & 0o777 == 0o600
    assert "priv_key" not in file.read_text()
    assert type_in("signer", "encrypt-key", "--home", home, "--passphrase-file", phrase).exit_code == 2
    after = type_in("signer", "show", "--output", "text", "--home", home).output.splitlines()  # asks for nothing
    assert [line for line in after if line not in shown] == ["the key is under a passphrase"]
    proving = ("tx", "stake", "prove-key", "--home", home, "--chain-id", "c", "--operator", encode_address(bytes(20)))
    asked = type_in(*proving)
    assert asked.exit_code == 1
    assert "nobody is at a terminal to ask" in " ".join(asked.output.split())
    (home / "validator-config.toml").write_text('[validator]\npassphrase_file = "../phrase"\n')
    assert type_in(*proving).exit_code == 0
    undone = type_in("signer", "decrypt-key", "--home", home)
    assert undone.exit_code == 0, undone.output
    assert file.read_text() == plain


def test_it_is_asked_for_at_a_terminal(tmp_path: Path, sealed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = secret(tmp_path / "key.json", sealed)
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("getpass.getpass", lambda prompt: PASSPHRASE)
    assert KeyFile.read(path).unlock(None).bytes == KEY.bytes


@pytest.mark.parametrize(
    ("phrase", "why"),
    [("another one", "is not the one that it was encrypted with"), ("", "the first line is the passphrase")],
)
def test_a_passphrase_that_is_wrong_is_said(tmp_path: Path, sealed: str, phrase: str, why: str) -> None:
    path, said = secret(tmp_path / "key.json", sealed), secret(tmp_path / "phrase", phrase)
    with pytest.raises(HomeError, match=why) as refused:
        KeyFile.read(path).unlock(said)
    assert not phrase or phrase not in str(refused.value)
    said.chmod(0o644)
    with pytest.raises(HomeError, match="chmod 600"):
        KeyFile.read(path).unlock(said)


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(HomeError, match="has 5 characters; allowed: 8"):
        format_encrypted(KEY, "short")


def test_a_file_that_says_another_key_than_it_holds_is_refused(tmp_path: Path, sealed: str) -> None:
    import json

    other = json.loads(format_held(Ed25519PrivKey.from_seed(b"o" * 32).pub_key, "kms"))["pub_key"]
    path = secret(tmp_path / "key.json", json.dumps(json.loads(sealed) | {"pub_key": other}))
    with pytest.raises(HomeError, match="another key than the file says"):
        KeyFile.read(path).unlock(secret(tmp_path / "phrase", PASSPHRASE))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ('{"held": "pocket"}', "held is 'pocket'; allowed: pkcs11, kms"),
        ('{"held": "kms"}', "pub_key"),
        ('{"encrypted": "*"}', "pub_key"),
        ("[" * 100 + "]" * 100, "nested"),
        (" " * 70_000, "no key file"),
    ],
)
def test_what_is_no_key_file_is_said(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(HomeError, match=why):
        KeyFile.read(secret(tmp_path / "key.json", text))


def test_a_key_that_others_may_use_starts_nothing(tmp_path: Path) -> None:
    assert type_in("signer", "init", "--home", tmp_path).exit_code == 0
    home = Home.of(tmp_path)
    assert load_validator_key(home).pub_key == load_public_key(home)
    home.validator_key.chmod(0o640)
    checked = type_in("validator", "--home", tmp_path, "--chain-id", "c", "--validate")
    assert checked.exit_code == 2
    assert f"chmod 600 {home.validator_key}" in " ".join(checked.output.split())


def test_a_key_of_ml_dsa_is_made_shown_encrypted_and_proves_itself(tmp_path: Path) -> None:
    home, phrase = tmp_path / "home", secret(tmp_path / "phrase", PASSPHRASE)
    words = ("--home", home, "--key-type", "ml_dsa_65")
    made = type_in("signer", "init", *words, "--passphrase-file", phrase)
    assert made.exit_code == 0, made.output
    file = home / "config" / "priv_validator_key.json"
    told = json.loads(file.read_text())
    assert told["pub_key"]["type"] == "cometbft/PubKeyMlDsa65"
    assert "priv_key" not in told
    public = base64.b64decode(told["pub_key"]["value"])
    assert len(public) == 1_952
    assert told["address"] == sha256(public)[:20].hex().upper()
    assert type_in("signer", "decrypt-key", "--home", home, "--passphrase-file", phrase).exit_code == 0
    plain = json.loads(file.read_text())
    assert plain["priv_key"]["type"] == "cometbft/PrivKeyMlDsa65"
    assert len(base64.b64decode(plain["priv_key"]["value"])) == 32
    proven = type_in(
        "tx", "stake", "prove-key", "--home", home, "--chain-id", "c", "--operator", encode_address(bytes(20))
    )
    assert proven.exit_code == 0, proven.output
    possession = bytes.fromhex(json.loads(proven.output)["possession"])
    assert MlDsa65PubKey(public).verify(possession_hash("c", bytes(20)), possession)
    shown = type_in("show-validator", "--home", home)
    assert json.loads(shown.output)["pub_key"] == told["pub_key"]


def test_a_packed_key_of_cometbfts_is_refused_with_the_reason(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert type_in("signer", "init", "--home", home, "--key-type", "ml_dsa_65").exit_code == 0
    file = home / "config" / "priv_validator_key.json"
    told = json.loads(file.read_text())
    told["priv_key"]["value"] = base64.b64encode(bytes(4_032)).decode()
    file.write_text(json.dumps(told))
    with pytest.raises(HomeError, match="packed form of CometBFT's files"):
        KeyFile.read(file).unlock(None)


def test_a_token_takes_no_key_of_ml_dsa(tmp_path: Path) -> None:
    pin = secret(tmp_path / "pin", "1234")
    where = ("--pkcs11-library", "/x.so", "--pkcs11-pin-file", pin)
    refused = type_in("signer", "init", "--home", tmp_path, "--hsm", *where, "--key-type", "ml_dsa_65")
    assert refused.exit_code == 2
    assert "--key-type ml_dsa_65: a key on a token, or at AWS KMS, is ed25519" in " ".join(refused.output.split())
    assert not (tmp_path / "config").exists() or not list((tmp_path / "config").iterdir())
