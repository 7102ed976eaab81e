"""The engine's errors: one tree. Each says what and where; `ConsensusFailure` ends the process."""

from __future__ import annotations

from typing import Final

import structlog

from consensus.system.machine import EXIT_DISK, MachineRefusal

log = structlog.get_logger(__name__)

EXIT_CONSENSUS_FAILURE: Final = 70  # EX_SOFTWARE of sysexits: an operator must look
EXIT_APPLICATION: Final = 69  # EX_UNAVAILABLE: the application that this node was told to ask is gone


class EngineError(Exception):
    """Anything that the engine raises by itself."""

    exit_code = EXIT_CONSENSUS_FAILURE
    disk_lied = False  # whether this node's own files are at fault: errors of other rooms that tell of it say so too
    is_outside = False  # whether another program is at fault, so that no line of this one's code tells more


class ConsensusFailure(EngineError):
    """This node cannot go on without risking its safety or its answers: the process ends with a code."""


class WalCorrupted(EngineError):
    """A record in the middle of the write-ahead log is damaged: not a torn tail, so the disk lost what was synced."""

    disk_lied = True

    def __init__(self, file: str, offset: int, why: str) -> None:
        super().__init__(
            f"{file}: record at offset {offset} is damaged ({why}) and valid records follow it. "
            "The disk lost synced data: check it, then move the log's folder away to start from the block store"
        )
        self.file, self.offset, self.why = file, offset, why


class SignerError(EngineError):
    """The signer's record is unusable: this node must not sign."""

    disk_lied = True


class SigningRefused(EngineError):
    """The signer will not sign this: it is at or below what it signed or saw decided."""


class Superseded(EngineError):
    """Work on a block of a height that is decided by now: nobody needs it, and the application is past it."""


class HandshakeError(ConsensusFailure):
    """Application, blocks and state do not fit together, and no replay mends it."""


class StoresDisagree(HandshakeError):
    """What one database says of the chain, another contradicts: one was lost, or is an older copy."""

    disk_lied = True

    def __init__(self, why: str) -> None:
        super().__init__(
            f"{why}. Databases of one time belong together: check the disk and restore a backup, or move the databases "
            "away and let the node sync anew. Leave the sign state where it is"
        )


APP_HASH_BYTES_MAX: Final = 256  # CometBFT has no limit: every header has it, and every line of the log


class InvalidResponse(ConsensusFailure):
    """The application answered what no application may answer."""

    is_outside = True


def check_app_hash(app_hash: bytes, method: str) -> None:
    """Raises InvalidResponse."""
    if len(app_hash) > APP_HASH_BYTES_MAX:
        raise InvalidResponse(f"{method}: the app hash has {len(app_hash)} bytes; allowed: {APP_HASH_BYTES_MAX}")


def traced(error: BaseException) -> BaseException | None:
    """What a log shows the way of, for `exc_info`; None: the error says all that there is, as of another program, of
    files that are not what was written, of what the machine refuses. Their way is in the log at its level debug."""
    is_foreseen = (isinstance(error, EngineError) and error.is_outside) or getattr(error, "disk_lied", False)
    if not is_foreseen and MachineRefusal.of(error) is None:
        return error
    log.debug("the way of an error that says all that there is", exc_info=error)
    return None


def exit_code_of(error: BaseException) -> int:
    """With which code a node ends that `error` stopped."""
    if getattr(error, "disk_lied", False):
        return EXIT_DISK
    refusal = MachineRefusal.of(error)
    code = error.exit_code if isinstance(error, EngineError) else EXIT_CONSENSUS_FAILURE
    return code if refusal is None else refusal.exit_code
