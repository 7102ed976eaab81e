"""What all errors of transactions have; the errors are in `errors`."""

from __future__ import annotations

from typing import ClassVar


class TxError(Exception):
    """A declared failure of a transaction. Subclasses set `code` (above 0), `codespace` and `rule`."""

    code: ClassVar[int] = 0
    codespace: ClassVar[str] = ""
    rule: ClassVar[str] = ""
    may_pass_later: bool = False  # what it lacks may be brought by another transaction that is under way

    def __init__(self, detail: str = "") -> None:
        super().__init__(f"{self.rule}: {detail}" if detail else self.rule)

    @property
    def log(self) -> str:
        """The rule that was broken, and how."""
        return str(self)
