"""The record of signing goes from home to home and is never lowered; a key that moved is watched before it signs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from consensus.documents.files import SignState, format_sign_state, parse_sign_state
from consensus.privval.signer import FileSigner
from consensus.system.disk import OsDisk
from consensus.system.errors import SigningRefused
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import PREVOTE, Vote
from dchat.cli.main import dchat
from dchat.config import load
from dchat.home.errors import HomeError
from dchat.home.home import check_sign_state, load_validator_key
from dchat.upkeep.sign_record import WATCHED_AFTER_MOVE, MovedMark, watch_heights
from tests.support.node.homes import Stopped, home_at, shared_stopped

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    return shared_stopped(tmp_path_factory)


def signer(home: Path, *words: object, code: int = 0) -> str:
    ended = CliRunner().invoke(dchat, ["signer", *map(str, words), "--home", str(home)], prog_name="dchat")
    assert ended.exit_code == code, ended.output
    return ended.output


def record(home: Path) -> Path:
    return home / "data" / "priv_validator_state.json"


@pytest.mark.parametrize(
    ("there", "want"),
    [
        pytest.param(None, (50, 1, 2), id="none: it is made"),
        pytest.param((49, 9, 3), (50, 1, 2), id="a lower one is raised"),
        pytest.param((50, 1, 3), (50, 1, 3), id="a higher one stays"),
        pytest.param((51, 0, 1), (51, 0, 1), id="a higher height stays"),
    ],
)
def test_records_are_merged_by_their_maximum(
    there: tuple[int, int, int] | None, want: tuple[int, int, int], stopped: Stopped, tmp_path: Path
) -> None:
    """Failure 8: an older record lets a key sign twice."""
    old, new, file = stopped.copy(tmp_path / "old"), stopped.copy(tmp_path / "new"), tmp_path / "signed.json"
    record(old).write_text(format_sign_state(SignState(50, 1, 2)))
    signer(old, "export", "--output", file)
    signer(old, "export", "--output", file, code=1)
    record(new).unlink()
    if there is not None:
        record(new).write_text(format_sign_state(SignState(*there)))
    signer(new, "import", "--input", file)
    assert parse_sign_state(record(new).read_bytes()).position == want
    assert record(new).stat().st_mode & 0o077 == 0 or there == want
    assert home_at(new).moved_mark.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metadata": {"interchange_format_version": "1", "chain_id": "other"}}, "of chain 'other'"),
        ({"metadata": {"interchange_format_version": "9", "chain_id": "other"}}, "has form '9'"),
        ({"data": []}, "nothing of this home's validator"),
        ({"data": 7}, "no record of signing"),
        ({"metadata": {}}, "'interchange_format_version' is missing"),
    ],
)
def test_what_is_not_of_this_key_and_chain_is_refused(
    change: dict[str, object], said: str, stopped: Stopped, tmp_path: Path
) -> None:
    home, file = stopped.copy(tmp_path / "home"), tmp_path / "signed.json"
    signer(home, "export", "--output", file)
    before = record(home).read_bytes()
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    told = signer(home, "import", "--input", file, code=1)
    assert said in told
    assert str(file) in told
    assert record(home).read_bytes() == before


def test_what_moved_is_said_in_words(stopped: Stopped, tmp_path: Path) -> None:
    old, new, file = stopped.copy(tmp_path / "old"), stopped.copy(tmp_path / "new"), tmp_path / "signed.json"
    record(old).write_text(format_sign_state(SignState(50, 1, 2)))
    record(new).write_text(format_sign_state(SignState(49, 9, 3)))
    assert "dchat signer import --input FILE" in signer(old, "export", "--output", file)
    said = "the sign state is at height 50, round 1, prevote (50/1/2); it was at height 49, round 9, precommit (49/9/3)"
    assert said in signer(new, "import", "--input", file)
    assert "stays at height 50, round 1, prevote (50/1/2)" in signer(new, "import", "--input", file)


def test_a_home_without_the_key_is_told_what_to_bring_first(stopped: Stopped, tmp_path: Path) -> None:
    old, new, file = stopped.copy(tmp_path / "old"), tmp_path / "new", tmp_path / "signed.json"
    signer(old, "export", "--output", file)
    told = signer(new, "import", "--input", file, code=1)
    assert "bring config/priv_validator_key.json and config/genesis.json of the old home first" in told
    assert not record(new).exists()


@pytest.mark.parametrize("height", ["1e999", "9.9", '"1_0"', "true", "-1", '"9223372036854775808"'])
def test_a_height_that_is_none_is_refused(height: str, stopped: Stopped, tmp_path: Path) -> None:
    """An infinite one ended in a trace; of 9.9 nine was taken, above which somebody may have signed."""
    home, file = stopped.copy(tmp_path / "home"), tmp_path / "signed.json"
    signer(home, "export", "--output", file)
    before, told = record(home).read_bytes(), json.loads(file.read_text())
    told["data"][0]["height"] = "HEIGHT"
    file.write_text(json.dumps(told).replace('"HEIGHT"', height))
    assert str(file) in signer(home, "import", "--input", file, code=1)
    assert record(home).read_bytes() == before


def test_no_more_of_a_record_is_read_than_one_may_have(stopped: Stopped, tmp_path: Path) -> None:
    """A backup, or a disk, that was typed in its place: it was read whole into memory."""
    home = stopped.copy(tmp_path / "home")
    assert "more than 65536 bytes" in signer(home, "import", "--input", "/dev/zero", code=2)


def test_a_home_that_was_moved_is_watched_so_many_blocks(stopped: Stopped, tmp_path: Path) -> None:
    root = stopped.copy(tmp_path / "home")
    home, config = home_at(root), load(root / "validator-config.toml", environment={}).config
    assert watch_heights(home, config) == 0
    signer(root, "export", "--output", tmp_path / "signed.json")
    signer(root, "import", "--input", tmp_path / "signed.json")
    assert watch_heights(home, config) == WATCHED_AFTER_MOVE
    off = config.model_copy(deep=True)
    object.__setattr__(off.consensus, "double_sign_check_height", 0)
    assert watch_heights(home, off) == 0


class Saved:
    def __init__(self, height: int) -> None:
        self.height = height


def test_the_mark_goes_when_the_blocks_went_by(stopped: Stopped, tmp_path: Path) -> None:
    home = home_at(stopped.copy(tmp_path / "home"))
    home.moved_mark.write_text("")
    mark = MovedMark(home, 3)
    for height in (7, 8, 9):
        mark.block_saved(Saved(height))  # type: ignore[arg-type]  # the height is all that it reads
    assert home.moved_mark.exists()
    mark.block_saved(Saved(10))  # type: ignore[arg-type]
    assert not home.moved_mark.exists()


def test_a_record_that_is_written_by_hand_gives_up_every_round_of_the_height_that_runs(
    stopped: Stopped, tmp_path: Path
) -> None:
    """Audit 77: by what was told before, a key whose record was lost signed a later round of that height again."""
    home = stopped.copy(tmp_path / "home")
    record(home).unlink()
    with pytest.raises(HomeError, match="Where it is lost for good") as told:
        check_sign_state(home_at(home))
    (text,) = re.findall(r'\{"height":"H".*?\}', str(told.value))
    record(home).write_text(text.replace("H", "101"))
    record(home).chmod(0o600)
    key = load_validator_key(home_at(home))
    signer = FileSigner(OsDisk(), key, record(home))
    block = BlockID(b"a" * 32, PartSetHeader(1, b"p" * 32))
    for round in (0, 1, 1_000):
        with pytest.raises(SigningRefused):
            signer.sign_vote("chain", Vote(PREVOTE, 101, round, block, 1, key.pub_key.address), with_extension=False)
    assert signer.sign_vote("chain", Vote(PREVOTE, 102, 0, block, 1, key.pub_key.address), with_extension=False).verify(
        "chain", key.pub_key
    )
    for page in ("docs/signer.md", "docs/operators/restore.md"):
        assert text in " ".join((ROOT / page).read_text().split()), page
