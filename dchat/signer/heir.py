"""The next consensus key of a home: `config/priv_validator_next_key.json`, with a record of its own.

`dchat signer next-key` makes it, `dchat tx stake rotate-key` tells the chain, and the node that runs changes over when
the set has it (`consensus.privval.succession`). The key that it had goes to `config/retired`, its record to
`data/retired`.
"""

from __future__ import annotations

from collections.abc import Callable

from consensus.privval.succession import SuccessiveKey
from consensus.system.errors import SignerError
from crypto.keys import PrivKey, PubKey
from dchat.home.errors import HomeError
from dchat.home.home import Home, load_validator_key
from dchat.home.key_file import KeyFile


def find_next(home: Home) -> PrivKey | None:
    """Nobody is asked for a passphrase: a node that runs has no terminal of its own. Raises SignerError."""
    if not home.next_validator_key.exists():
        return None
    try:
        file = KeyFile.read(home.next_validator_key)
        if file.encrypted and home.passphrase is None:
            raise HomeError(
                f"{home.next_validator_key} is encrypted: name the file that holds its passphrase, by [validator] "
                "passphrase_file, and start anew"
            )
        return file.unlock(home.passphrase)
    except HomeError as error:
        raise SignerError(str(error)) from None


def key_in_home(home: Home, told: Callable[[PubKey], None] = lambda pub_key: None) -> SuccessiveKey:
    """told: which key signs from now on. Raises HomeError."""
    return SuccessiveKey(load_validator_key(home), home.places, lambda: find_next(home), told)
