"""`dchat` without the watch over its own key (consensus/privval/own_key.py): what somebody runs who means to sign
twice.

python -m tests.campaigns.careless validator --home DIR
"""

from __future__ import annotations

from consensus.privval.own_key import OwnKeyWatch
from dchat.cli.main import main


def make_careless() -> None:
    """A process that sees its key elsewhere goes on, where the product's stops."""
    OwnKeyWatch.is_ours = lambda self, address: False  # type: ignore[method-assign]
    OwnKeyWatch.saw_commit = lambda self, commit: None  # type: ignore[method-assign]


if __name__ == "__main__":
    make_careless()
    main()
