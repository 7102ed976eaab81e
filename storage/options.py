"""What an operator may set on a database, with defaults for a validator of modest size."""

from __future__ import annotations

from dataclasses import dataclass

from storage.errors import InvalidOption

MIB = 1 << 20
CACHE_BYTES = 64 * MIB  # four databases fit beside the process in the 1.2 GB that operators are promised
WRITE_BUFFER_BYTES = 32 * MIB  # the larger, the more overwritten pages fall away in the first merge
OPEN_FILES_MAX = 512  # below the usual limit of 1,024 descriptors, of which peers need the rest
BLOCK_BYTES = 4_096  # LevelDB's own; one read of the disk


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Sizes in bytes. Raises: InvalidOption, which names the option and what is allowed."""

    cache_bytes: int = CACHE_BYTES
    write_buffer_bytes: int = WRITE_BUFFER_BYTES
    max_open_files: int = OPEN_FILES_MAX
    block_bytes: int = BLOCK_BYTES
    compress: bool = False  # hashes and signatures do not shrink, and trying takes a third of an update's CPU

    def __post_init__(self) -> None:
        for name, lowest in (
            ("cache_bytes", 0),
            ("write_buffer_bytes", 65_536),  # LevelDB's floor: it would silently take this instead
            ("max_open_files", 74),  # LevelDB's floor too
            ("block_bytes", 1_024),
        ):
            value = getattr(self, name)
            if value < lowest:
                raise InvalidOption(name, value, lowest=lowest)
