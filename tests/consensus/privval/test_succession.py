"""A key and the one that comes after it: the set decides which signs, and no stop in between costs more than votes."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consensus.documents.files import format_validator_key, parse_validator_key
from consensus.privval.record import slots_path
from consensus.privval.signer import FileSigner
from consensus.privval.succession import Places, SuccessiveKey, SuccessiveSigner, change_places, settle
from consensus.simulation.disk import SimulatedDisk
from consensus.system.errors import SignerError, SigningRefused
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.validators import ValidatorSet
from consensus.types.vote import PRECOMMIT, Vote
from crypto.keys import PrivKey
from tests.support.engine.bench import key_of
from tests.support.stops import StopsAfter

CHAIN = "chain"
OLD, NEW, OTHER = key_of(0), key_of(1), key_of(2)
CONFIG, DATA = Path("/node/config"), Path("/node/data")
PLACES = Places(
    key=CONFIG / "key.json", state=DATA / "state.json", next_key=CONFIG / "next_key.json",
    next_state=DATA / "next_state.json", retired_keys=CONFIG / "retired", retired_states=DATA / "retired",
)  # fmt: skip
A, B = (BlockID(letter * 32, PartSetHeader(1, b"p" * 32)) for letter in (b"a", b"b"))
BEFORE = ValidatorSet.new([(OLD.pub_key, 10), (OTHER.pub_key, 10)])
AFTER = ValidatorSet.new([(NEW.pub_key, 10), (OTHER.pub_key, 10)])
NAME = f"{OLD.pub_key.address.hex()}.json"


def vote(key: PrivKey, height: int, block_id: BlockID = A) -> Vote:
    return Vote(PRECOMMIT, height, 0, block_id, 10**18, key.pub_key.address)


def home() -> SimulatedDisk:
    disk = SimulatedDisk()
    for key, path, state in ((OLD, PLACES.key, PLACES.state), (NEW, PLACES.next_key, PLACES.next_state)):
        FileSigner.create_state(disk, state)
        disk.replace(path, format_validator_key(key).encode())
    return disk


def signer_on(disk: SimulatedDisk) -> SuccessiveSigner:
    def open_signer(key: PrivKey, state: Path) -> FileSigner:
        if not disk.size(state):
            FileSigner.create_state(disk, state)
        return FileSigner(disk, key, state)

    def find() -> PrivKey | None:
        return parse_validator_key(disk.read(PLACES.next_key)) if disk.size(PLACES.next_key) else None

    key = SuccessiveKey(parse_validator_key(disk.read(PLACES.key)), PLACES, find)
    return SuccessiveSigner(disk, key, open_signer)


def sign(signer: SuccessiveSigner, height: int, block_id: BlockID = A) -> Vote:
    key = OLD if signer.pub_key == OLD.pub_key else NEW
    return signer.sign_vote(CHAIN, vote(key, height, block_id), with_extension=False)


def test_the_set_decides_which_key_signs() -> None:
    disk = home()
    signer = signer_on(disk)
    sign(signer, 5)
    assert not signer.succeed(BEFORE)
    assert not signer.succeed(ValidatorSet.new([(OTHER.pub_key, 1)]))  # in jail, for one
    assert signer.pub_key == OLD.pub_key
    signer.raise_floor(6)
    assert signer.succeed(AFTER)
    assert signer.pub_key == signer.key.pub_key == NEW.pub_key
    with pytest.raises(SigningRefused, match="arrived decided"):
        sign(signer, 6)
    assert sign(signer, 7).verify(CHAIN, NEW.pub_key)
    assert not signer.succeed(AFTER)
    signer.close()
    assert {path.name for path in disk.files} == {"key.json", "state.json", NAME}
    assert parse_validator_key(disk.read(PLACES.key)) == NEW
    assert parse_validator_key(disk.read(PLACES.retired_keys / NAME)) == OLD
    assert FileSigner(disk, NEW, PLACES.state).last_height == 7
    assert FileSigner(disk, OLD, PLACES.retired_states / NAME).last_height == 5


def test_as_long_as_the_set_has_the_old_key_that_signs() -> None:
    """Both are validators: two homes, perhaps, of one operator who mixed them up."""
    signer = signer_on(home())
    assert not signer.succeed(ValidatorSet.new([(OLD.pub_key, 1), (NEW.pub_key, 1)]))
    assert signer.pub_key == OLD.pub_key


def test_a_next_key_that_cannot_be_read_is_said_once() -> None:
    disk = home()
    signer = signer_on(disk)

    def find() -> PrivKey | None:
        raise SignerError("it is encrypted")

    signer.key.find = find
    with capture_logs() as said:
        assert not signer.succeed(AFTER)
        assert not signer.succeed(AFTER)
    assert [line["event"] for line in said] == ["this validator's next key cannot sign: it is encrypted"]
    assert sign(signer, 5).verify(CHAIN, OLD.pub_key)


def test_a_record_of_another_key_is_not_signed_over() -> None:
    disk = home()
    other = FileSigner(disk, OTHER, PLACES.next_state)
    other.sign_vote(CHAIN, vote(OTHER, 9), with_extension=False)
    other.close()
    signer = signer_on(disk)
    with capture_logs() as said:
        assert not signer.succeed(AFTER)
    assert "its signature is not one of validator" in said[0]["event"]
    assert signer.pub_key == OLD.pub_key


def test_files_that_cannot_change_places_cost_no_vote() -> None:
    disk = home()
    signer = signer_on(disk)
    sign(signer, 5)

    def full(action: str, path: Path) -> None:
        if path.parent == PLACES.retired_keys:
            raise OSError("no room")

    disk.hook = full
    with capture_logs() as said:
        assert signer.succeed(AFTER)
    assert "did not change places" in said[0]["event"]
    sign(signer, 7)
    signer.close()
    disk.hook = lambda action, path: None
    assert not settle(disk, PLACES)
    again = signer_on(disk)
    assert again.pub_key == OLD.pub_key
    assert again.succeed(AFTER)
    assert again.last_height == 7
    with pytest.raises(SigningRefused):
        sign(again, 7, B)


def test_a_change_that_fails_half_way_ends_the_process_and_is_finished_by_the_next_start() -> None:
    disk = home()
    signer = signer_on(disk)
    sign(signer, 5)

    def full(action: str, path: Path) -> None:
        if path.parent == PLACES.retired_states:
            raise OSError("no room")

    disk.hook = full
    with pytest.raises(OSError, match="no room"):
        signer.succeed(AFTER)
    disk.hook = lambda action, path: None
    assert not disk.size(PLACES.key)
    assert settle(disk, PLACES)
    assert not settle(disk, PLACES)
    assert signer_on(disk).pub_key == NEW.pub_key


# ------------------------------------------------------------------------------ whatever stops it


def a_life(disk: SimulatedDisk, released: list[Vote]) -> None:
    signer = signer_on(disk)
    for height in (3, 4, 5):
        assert not signer.succeed(BEFORE)
        released.append(sign(signer, height))
    assert signer.succeed(AFTER)
    for height in (6, 7):
        released.append(sign(signer, height))
    signer.close()


def is_done(disk: SimulatedDisk, work: Callable[[SimulatedDisk], object], *, touches: int) -> bool:
    """Whether it came to its end before the disk was touched so often: the next touch stops it."""
    stops = StopsAfter(disk, touches)
    with contextlib.suppress(OSError):
        work(disk)
    return not stops.has_stopped


@pytest.mark.parametrize("tail", [0, 60, 1 << 20])
def test_a_stop_at_any_touch_of_the_disk(tail: int) -> None:
    """And at any of the start after it. Neither key signs twice, the new one goes on, and no file is lost."""
    for step in itertools.count():
        disk, released = home(), list[Vote]()
        is_over = is_done(disk, partial(a_life, released=released), touches=step)
        check_after_a_stop(disk.crashed(tail), released, tail)
        if is_over:
            break
    assert step >= 40


def check_after_a_stop(disk: SimulatedDisk, released: list[Vote], tail: int) -> None:
    for inner in itertools.count():  # a stop at any touch of the start, too
        again = disk.crashed()
        is_over = is_done(again, partial(settle, places=PLACES), touches=inner)
        check_start(again.crashed(tail), released)
        if is_over:
            break


def check_start(disk: SimulatedDisk, released: list[Vote]) -> None:
    settle(disk, PLACES)
    signer = signer_on(disk)
    by_new = [one for one in released if one.validator_address == NEW.pub_key.address]
    by_old = [one for one in released if one.validator_address == OLD.pub_key.address]
    if signer.pub_key == OLD.pub_key:
        assert signer.last_height >= (by_old[-1].height if by_old else 0)
        if by_old:
            with pytest.raises(SigningRefused):
                sign(signer, by_old[-1].height, B)
        assert signer.succeed(AFTER)
    assert signer.pub_key == NEW.pub_key
    if by_new:
        with pytest.raises(SigningRefused):
            sign(signer, by_new[-1].height, B)
    sign(signer, 20)
    signer.close()
    assert parse_validator_key(disk.read(PLACES.retired_keys / NAME)) == OLD
    assert not disk.size(PLACES.next_key)
    assert not disk.size(PLACES.next_state)
    assert not disk.size(slots_path(PLACES.state))
    old = FileSigner(disk, OLD, PLACES.retired_states / NAME)
    assert old.last_height >= (by_old[-1].height if by_old else 0)


def test_a_home_whose_key_was_taken_away_is_left_alone() -> None:
    """As for a signer elsewhere; also where a key was retired before."""
    disk = home()
    disk.remove(PLACES.key)
    before = set(disk.files)
    assert not settle(disk, PLACES)
    assert set(disk.files) == before

    disk = home()
    signer = signer_on(disk)
    sign(signer, 5)
    signer.succeed(AFTER)
    sign(signer, 9)
    signer.close()
    FileSigner.create_state(disk, PLACES.next_state)
    disk.replace(PLACES.next_key, format_validator_key(OTHER).encode())
    disk.remove(PLACES.key)
    before = set(disk.files)
    assert not settle(disk, PLACES)
    assert set(disk.files) == before


def test_change_places_makes_the_folders() -> None:
    disk = home()
    change_places(disk, PLACES, OLD.pub_key)
    assert {PLACES.retired_keys, PLACES.retired_states} <= disk.folders
