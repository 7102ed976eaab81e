"""Who acts: identities of files, new ones, accounts of several keys."""

from __future__ import annotations

from pathlib import Path

from chain.tx.envelope.build import Shared
from chain.tx.policies import Group, threshold_policy
from dchat.home import identity
from dchat.home.accounts import SharedAccount
from dchat.home.identity import Identity


def load_identity(file: Path | str) -> Identity:
    """As `dchat keygen` writes it. Raises IdentityError: which file, and what is wrong with it."""
    return identity.load(Path(file))


def new_identity() -> Identity:
    """A key of the system's randomness, which nobody has yet: `save` writes it to a file."""
    return identity.generate()


def shared_account(needed: int, *holders: Identity) -> SharedAccount:
    """The account that so many of the holders sign for together. Raises TxError: no account has such keys."""
    groups = [Group(1, (holder.wallet.public_key,)) for holder in holders]
    return SharedAccount(Shared(threshold_policy(needed, groups)))
