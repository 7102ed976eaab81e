"""Moving the record of signing from one home to another: in EIP-3076's sense, and never lower.

What moves is how far a key has signed (chain, height, round, step), without a signature: whoever imports it signs
above it. Records are merged by their maximum. An import leaves a mark, so that the next start first watches whether the
key is still used where it came from.
Source: EIP-3076 (slashing protection interchange), its minimal form.
"""

from __future__ import annotations

import json
from typing import Any, Final

from consensus.documents.files import SignState
from consensus.engine.interfaces import SavedBlock
from consensus.formats.errors import InvalidFile
from consensus.privval.record import read_record, slots_path, write_record
from consensus.system.disk import OsDisk
from consensus.system.files import replace_durably
from dchat.config import Config
from dchat.home.errors import HomeError
from dchat.home.home import Home, load_genesis, load_public_key
from dchat.upkeep.errors import UpkeepError

FORMAT: Final = "1"
BYTES_MAX: Final = 65_536
HEIGHT_MAX: Final = (1 << 63) - 1
ROUND_MAX: Final = (1 << 31) - 1
STEPS: Final = ("", "proposal", "prevote", "precommit")
STEP_MAX: Final = len(STEPS) - 1

WATCHED_AFTER_MOVE: Final = 10  # blocks: in so many a validator that is up signs

Position = tuple[int, int, int]  # height, round, step


def is_position(position: Position) -> bool:
    """Whether a record may say so: one that says more is refused by every start, and is never made anew."""
    height, round, step = position
    return 0 <= height <= HEIGHT_MAX and 0 <= round <= ROUND_MAX and 0 <= step <= STEP_MAX


def position_text(position: Position) -> str:
    """For people: what was signed last, and the three numbers as files and logs have them."""
    height, round, step = position
    if not step:
        return "nothing signed yet" if not height else f"height {height}, round {round}, no vote yet"
    return f"height {height}, round {round}, {STEPS[step]} ({height}/{round}/{step})"


def read_sign_state(home: Home) -> SignState:
    """Raises HomeError."""
    try:
        return read_record(OsDisk(), home.sign_state, _address(home))
    except (OSError, InvalidFile) as error:
        raise HomeError(f"{home.sign_state}: {error}") from None


def _address(home: Home) -> bytes | None:
    return load_public_key(home).address if home.validator_key.exists() else None


def raise_sign_state(home: Home, position: Position) -> bool:
    """Let the record be at `position` at least; whether that raised it. None is made. Raises HomeError."""
    if not home.sign_state.exists() or read_sign_state(home).position >= position:
        return False
    _write(home, position)
    return True


def _write(home: Home, position: Position) -> None:
    home.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_record(OsDisk(), home.sign_state, SignState(*position))


def mark_moved(home: Home) -> None:
    """Have the next start watch for another user of the key before it signs."""
    replace_durably(home.moved_mark, "restored, or its sign state imported: see [consensus] double_sign_check_height\n")


def export_record(home: Home) -> str:
    """The home's record, for `import_record`; its state file then says all, also after a stop without notice.

    Raises HomeError, OSError."""
    state = read_sign_state(home)
    if slots_path(home.sign_state).exists():
        write_record(OsDisk(), home.sign_state, state)
    height, round, step = state.position
    key = load_public_key(home)
    row = {
        "address": key.address.hex(),
        "pub_key": key.bytes.hex(),
        "height": str(height),
        "round": round,
        "step": step,
    }
    metadata = {"interchange_format_version": FORMAT, "chain_id": load_genesis(home).chain_id}
    told = {"metadata": metadata, "data": [row]}
    return json.dumps(told, indent=2) + "\n"


def import_record(home: Home, text: bytes) -> tuple[Position | None, Position]:
    """Merge a record into the home's, by the maximum; returns what it was (None: there was none) and what it is.

    Raises UpkeepError: it is of another key or chain, or no record, or the home has no key yet. HomeError.
    """
    missing = [str(file) for file in (home.validator_key, home.genesis) if not file.exists()]
    if missing:
        raise UpkeepError(
            f"{' and '.join(missing)}: not here. A record is of one key and one chain: bring "
            "config/priv_validator_key.json and config/genesis.json of the old home first, then type this again"
        )
    wanted = _position_of(home, text)
    before = read_sign_state(home).position if home.sign_state.exists() else None
    after = wanted if before is None else max(before, wanted)
    if after != before:
        _write(home, after)
    mark_moved(home)
    return before, after


def _position_of(home: Home, text: bytes) -> Position:
    address, chain_id = load_public_key(home).address.hex(), load_genesis(home).chain_id
    if len(text) > BYTES_MAX:
        raise UpkeepError(f"the record has more than {BYTES_MAX} bytes")
    try:
        told: Any = json.loads(text)
        version, chain = told["metadata"]["interchange_format_version"], told["metadata"]["chain_id"]
        found = [
            (_whole(row["height"]), _whole(row["round"]), _whole(row["step"]))
            for row in told["data"]
            if str(row["address"]).lower() == address
        ]
    except KeyError as error:
        raise UpkeepError(
            f"it is no record of signing, as `dchat signer export` writes one: {error} is missing"
        ) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise UpkeepError(f"it is no record of signing, as `dchat signer export` writes one ({error})") from None
    if version != FORMAT:
        raise UpkeepError(f"the record has form {version!r}; allowed: {FORMAT!r}")
    if chain != chain_id:
        raise UpkeepError(f"the record is of chain {chain!r}, and this home is of {chain_id!r}")
    if not found:
        raise UpkeepError(f"the record has nothing of this home's validator {address}")
    position = max(found)
    if not is_position(position):
        raise UpkeepError(f"the record's {'/'.join(map(str, position))} is out of range")
    return position


def _whole(value: object) -> int:
    """A whole number, plain or as a text: of 9.9 nobody signed above 9. Raises ValueError."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r:.40} is no whole number")
    return value


def watch_heights(home: Home, config: Config) -> int:
    """For how many blocks nothing is signed, so that a second user of the key shows itself."""
    wanted = config.consensus.double_sign_check_height
    return wanted if wanted >= 0 else WATCHED_AFTER_MOVE * home.moved_mark.exists()


class MovedMark:
    """Takes the mark away once the blocks that were to be watched went by."""

    def __init__(self, home: Home, heights: int) -> None:
        self._mark = home.moved_mark if home.moved_mark.exists() else None
        self._heights, self._first = heights, 0

    def block_saved(self, saved: SavedBlock) -> None:
        self._first = self._first or saved.height
        if self._mark is not None and saved.height >= self._first + self._heights:
            self._mark.unlink(missing_ok=True)
            self._mark = None
