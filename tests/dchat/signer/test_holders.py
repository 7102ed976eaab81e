"""Keys on a PKCS#11 token (SoftHSM2) and at AWS KMS (a stand-in): made, taken up, brought, lost, come back."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from consensus.privval.errors import KeyLost
from crypto.bech32 import encode_address
from crypto.keys import Ed25519PrivKey, Ed25519PubKey
from dchat.cli.main import dchat
from dchat.signer import held, kms, token
from dchat.signer.held import HeldSigningKey, OneThread
from dchat.signer.kms import KmsKey
from dchat.signer.token import Token
from tests.support.node.kms import ENVIRONMENT, REGION, SECRET, Kms, kms_service
from tests.support.node.token import LABEL, PIN, SoftToken, soft_token

MESSAGE = b"a vote"
PATIENCE_S = 60.0  # of a busy machine, in place of what a vote may wait; tests of lateness set their own


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "ANSWER_S", PATIENCE_S)
    monkeypatch.setattr(kms, "CONNECT_S", PATIENCE_S)
    monkeypatch.setattr(kms, "READ_S", PATIENCE_S)


@pytest.fixture(scope="module")
def soft(tmp_path_factory: pytest.TempPathFactory) -> SoftToken:
    return soft_token(tmp_path_factory.mktemp("token") / "soft")


@pytest.fixture
def there(soft: SoftToken, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    for name, value in soft.environment.items():
        monkeypatch.setenv(name, value)
    return soft


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kms]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with kms_service() as running:
        monkeypatch.setenv("DCHAT_HSM__KMS_ENDPOINT", running.url)
        yield running


@pytest.fixture
def label(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)[:60]


def token_of(soft: SoftToken, label: str, *, slot: str = LABEL, pin_file: Path | None = None) -> Token:
    return Token(soft.library, slot, pin_file or soft.pin_file, label)


def type_in(*words: object) -> Result:
    return CliRunner().invoke(dchat, list(map(str, words)))


# ------------------------------------------------------------------------------------------------------ the token


def test_a_key_is_made_on_the_token_signs_and_is_never_overwritten(there: SoftToken, label: str) -> None:
    one = token_of(there, label)
    one.open()
    made = one.make()
    key = HeldSigningKey(token_of(there, label), made)
    assert made.verify(MESSAGE, key.sign(MESSAGE))
    with pytest.raises(KeyLost, match="never overwritten"):
        one.make()
    with pytest.raises(KeyLost, match="never overwritten"):
        one.bring(Ed25519PrivKey.from_seed(b"k" * 32))


def test_a_key_that_is_brought_there_is_the_same_and_does_not_come_out(there: SoftToken, label: str) -> None:
    import pkcs11

    key, one = Ed25519PrivKey.from_seed(b"k" * 32), token_of(there, label)
    one.open()
    one.bring(key)
    assert one.public_key() == key.pub_key
    assert one.sign(MESSAGE) == key.sign(MESSAGE)
    private = one._only(pkcs11.ObjectClass.PRIVATE_KEY)
    with pytest.raises(pkcs11.exceptions.PKCS11Error):
        private[pkcs11.Attribute.VALUE]


def test_a_token_that_is_pulled_out_is_lost_and_comes_back(there: SoftToken, label: str) -> None:
    one = token_of(there, label)
    one.open()
    key = HeldSigningKey(one, one.make())
    assert key.sign(MESSAGE)
    away = there.folder / "away"
    shutil.move(there.store, away)
    try:
        for _ in range(2):
            with pytest.raises(KeyLost, match="PKCS#11 token"):
                key.sign(MESSAGE)
    finally:
        shutil.move(away, there.store)
    assert key.pub_key.verify(MESSAGE, key.sign(MESSAGE))


def test_a_wrong_pin_is_said_once_and_no_text_holds_it(there: SoftToken, label: str, tmp_path: Path) -> None:
    """A token locks itself after some."""
    pin_file = tmp_path / "pin"
    pin_file.write_text("not-the-pin\n")
    pin_file.chmod(0o600)
    one = token_of(there, label, pin_file=pin_file)
    with pytest.raises(KeyLost, match="it refuses the PIN") as first:
        one.open()
    with pytest.raises(KeyLost, match="not tried again before the file is another") as second:
        one.open()
    assert "not-the-pin" not in f"{first.value}{second.value}"
    pin_file.write_text(f"{PIN}\n")
    one.open()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"slot": "nobody's"}, "0 tokens are of it; there are: "),
        ({"library": Path("/no/such.so")}, "there is no such file"),
        ({"library": Path(__file__)}, "opening it"),
        ({"label": "of no key"}, "0 objects PUBLIC_KEY have this label"),
        ({"pin_file": Path("/no/pin")}, "the PIN cannot be read"),
    ],
)
def test_what_of_a_token_is_not_there_is_said(there: SoftToken, change: dict[str, object], why: str) -> None:
    given: dict[str, object] = {"library": there.library, "slot": LABEL, "pin_file": there.pin_file, "label": "x"}
    one = Token(**(given | change))  # type: ignore[arg-type]
    with pytest.raises(KeyLost, match=why):
        one.open()
        one.public_key()


def test_another_key_than_the_file_names_does_not_sign(there: SoftToken, label: str) -> None:
    one = token_of(there, label)
    one.open()
    one.make()
    with pytest.raises(KeyLost, match="is it the right slot, label or key id"):
        HeldSigningKey(one, Ed25519PubKey(b"k" * 32)).sign(MESSAGE)


# -------------------------------------------------------------------------------------------------------- the service


def kms_key(service: Kms, key_id: str = "") -> KmsKey:
    return KmsKey(key_id, REGION, service.url)


def test_a_key_is_made_at_kms_and_signs_each_message_by_one_signed_call(service: Kms) -> None:
    one = kms_key(service)
    one.open()
    made = one.make()
    key = HeldSigningKey(kms_key(service, one.key_id), made)
    service.calls.clear()
    for number in range(3):
        assert made.verify(bytes([number]), key.sign(bytes([number])))
    assert service.calls == ["GetPublicKey", *["Sign"] * 4]  # one is the look at the beginning
    with pytest.raises(KeyLost, match="is named: leave --kms-key-id out"):
        one.make()
    with pytest.raises(KeyLost, match="takes a key only wrapped"):
        one.bring(Ed25519PrivKey.from_seed(b"k" * 32))


@pytest.mark.parametrize(
    "fault", ["refused", "internal error", "lies", "late", "gone", "another kind", "no credentials"]
)
def test_kms_that_does_not_sign_is_lost_says_why_and_comes_back(
    service: Kms, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = kms_key(service)
    one.open()
    made = one.make()
    key = HeldSigningKey(kms_key(service, one.key_id), made)
    match fault:
        case "refused":
            service.refuse.add("Sign")
            why = "AccessDeniedException: not authorized to perform: kms:Sign"
        case "internal error":
            service.fail = 1
            why = "KMSInternalException"
        case "lies":
            service.flips = True
            why = "does not verify by its own public key"
        case "late":
            monkeypatch.setattr(kms, "READ_S", 0.05)
            service.delay_s, why = 0.5, "Read timeout"
        case "gone":
            service.keys.clear()
            why = "NotFoundException: Key 'key-0' does not exist"
        case "another kind":
            service.spec, why = "ECC_NIST_P256", "its kind is ECC_NIST_P256, for SIGN_VERIFY"
        case _:
            monkeypatch.delenv("AWS_ACCESS_KEY_ID")
            monkeypatch.setenv("HOME", "/nowhere")
            why = "there are no credentials: set AWS_ACCESS_KEY_ID"
    with pytest.raises(KeyLost, match=why) as lost:
        key.sign(MESSAGE)
    assert SECRET not in str(lost.value)
    if fault in ("refused", "internal error", "lies"):
        service.refuse.clear()
        service.flips = False
        assert key.pub_key.verify(MESSAGE, key.sign(MESSAGE))


# ---------------------------------------------------------------------------------------------------------- the thread


def test_a_library_that_hangs_is_not_waited_for_and_not_asked_again_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    goes_on = threading.Event()

    class Hangs(KmsKey):
        def open(self) -> None:
            goes_on.wait(60)
            raise KeyLost("it came to an end")

    monkeypatch.setattr(held, "ANSWER_S", 0.05)
    key = HeldSigningKey(Hangs("k"), Ed25519PubKey(b"k" * 32))
    with pytest.raises(KeyLost, match="did not sign within"):
        key.sign(MESSAGE)
    with pytest.raises(KeyLost, match="has not answered what it was asked before"):
        key.sign(MESSAGE)
    goes_on.set()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            key.sign(MESSAGE)
        except KeyLost as error:
            if "it came to an end" in str(error):
                return
    pytest.fail("it was not asked again")


def test_calls_are_made_one_after_the_other_in_one_thread() -> None:
    import threading

    one = OneThread("a test")
    names = set()
    for _ in range(3):
        names.add(one.begin(threading.get_ident).result(30))
    assert len(names) == 1


# --------------------------------------------------------------------------------------------------------- the commands


def test_init_adopt_and_move_key_with_a_token(there: SoftToken, label: str, tmp_path: Path) -> None:
    flags = there.flags(label)
    made = type_in("signer", "init", "--home", tmp_path / "a", *flags)
    assert made.exit_code == 0, made.output
    assert "the key is on a PKCS#11 token" in made.output
    shown = type_in("signer", "show", "--output", "text", "--home", tmp_path / "a")
    assert shown.output == made.output
    told = json.loads(type_in("signer", "show", "--home", tmp_path / "a").stdout)
    assert (told["held"], told["encrypted"]) == ("pkcs11", False)
    assert type_in("signer", "init", "--home", tmp_path / "a", *flags).exit_code == 2
    assert type_in("signer", "init", "--home", tmp_path / "b", *flags).exit_code == 2, "there is one of this label"
    without = type_in("signer", "adopt", "--home", tmp_path / "b", *flags)
    assert without.exit_code == 2
    assert "is missing: with an empty record this key could sign twice" in without.output
    adopted = type_in("signer", "adopt", "--home", tmp_path / "b", "--never-signed", *flags)
    assert adopted.exit_code == 0, adopted.output
    assert adopted.output.splitlines()[3] == made.output.splitlines()[3]  # the public key
    assert type_in("signer", "init", "--home", tmp_path / "c").exit_code == 0
    before = type_in("signer", "show", "--output", "text", "--home", tmp_path / "c").output.splitlines()
    moved = type_in("signer", "move-key", "--home", tmp_path / "c", *there.flags(f"{label} moved"))
    assert moved.exit_code == 0, moved.output
    assert [line for line in moved.output.splitlines() if line not in before] == ["the key is on a PKCS#11 token"]
    file = tmp_path / "c" / "config" / "priv_validator_key.json"
    assert "priv_key" not in json.loads(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600


def test_file_and_options_that_differ_start_nothing(there: SoftToken, label: str, tmp_path: Path) -> None:
    flags, listens = there.flags(label), ("--chain-id", "c", "--connect", "unix:///nowhere")
    assert type_in("signer", "init", "--home", tmp_path / "file").exit_code == 0
    assert type_in("signer", "init", "--home", tmp_path / "held", *flags).exit_code == 0
    for words, why in (
        (("signer", "--home", tmp_path / "file", *listens, *flags), "in this file, and the options say on a PKCS#11"),
        (("signer", "--home", tmp_path / "held", *listens), "on a PKCS#11 token, and the options say in a file"),
        (("validator", "--home", tmp_path / "held", "--chain-id", "c", "--validate"), "the options say in a file"),
        (("validator", "--home", tmp_path / "no", "--chain-id", "c", "--validate", *flags), "`dchat signer init`"),
        (("signer", "init", "--home", tmp_path / "no", "--pkcs11-library", there.library), "give --hsm"),
        (("signer", "init", "--home", tmp_path / "no", "--hsm"), "needs one of pkcs11_library and kms_key_id"),
        (
            (
                "tx",
                "stake",
                "prove-key",
                "--home",
                tmp_path / "held",
                "--chain-id",
                "c",
                "--operator",
                encode_address(bytes(20)),
            ),
            "--hsm",
        ),
    ):
        done = type_in(*words)
        assert done.exit_code == (1 if words[0] == "tx" else 2), (words, done.output)
        assert why in " ".join(done.output.split()), done.output


def test_validate_has_the_token_sign_and_so_do_commands(
    there: SoftToken, label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = there.flags(label)
    assert type_in("signer", "init", "--home", tmp_path, *flags).exit_code == 0
    checked = type_in("validator", "--home", tmp_path, "--chain-id", "c", "--validate", *flags)
    assert checked.exit_code == 0, checked.output
    away = there.folder / "away"
    shutil.move(there.store, away)
    try:
        gone = type_in("validator", "--home", tmp_path, "--chain-id", "c", "--validate", *flags)
    finally:
        shutil.move(away, there.store)
    assert gone.exit_code == 2
    assert "PKCS#11 token" in gone.output
    for name, value in zip(
        ("ENABLE", "PKCS11_LIBRARY", "PKCS11_SLOT", "PKCS11_PIN_FILE", "PKCS11_KEY_LABEL"),
        ("true", there.library, LABEL, there.pin_file, label), strict=True,
    ):  # fmt: skip
        monkeypatch.setenv(f"DCHAT_HSM__{name}", str(value))
    proved = type_in(
        "tx", "stake", "prove-key", "--home", tmp_path, "--chain-id", "c", "--operator", encode_address(bytes(20))
    )
    assert proved.exit_code == 0, proved.output
    from chain.tx.messages.economy import possession_hash

    told = json.loads(proved.output)
    key = Ed25519PubKey(bytes.fromhex(told["consensus_key"]))
    assert key.verify(possession_hash("c", bytes(20)), bytes.fromhex(told["possession"]))


def test_init_at_kms_tells_the_keys_id_and_adopt_takes_it_up(service: Kms, tmp_path: Path) -> None:
    made = type_in("signer", "init", "--home", tmp_path / "a", "--kms", "--aws-region", REGION)
    assert made.exit_code == 0, made.output
    assert made.output.splitlines()[0] == "made a key at AWS KMS: --hsm --kms-key-id key-0"
    flags = ("--hsm", "--kms-key-id", "key-0", "--aws-region", REGION)
    adopted = type_in("signer", "adopt", "--home", tmp_path / "b", "--never-signed", *flags)
    assert adopted.exit_code == 0, adopted.output
    assert type_in("validator", "--home", tmp_path / "b", "--chain-id", "c", "--validate", *flags).output.endswith(
        "ok\n"
    )


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for check, extra in ((token.check_library, "hsm"), (kms.check_library, "kms")):
        with pytest.raises(KeyLost, match=rf"dchat-validator\[{extra}\]"):
            check()
