"""Which place is meant: the one of [backup], or what was typed."""

from __future__ import annotations

import re
from pathlib import Path

from dchat.backups.errors import TargetFailed
from dchat.backups.folder import FolderTarget
from dchat.backups.s3 import S3Target, check_library
from dchat.backups.target import Target
from dchat.config import Config
from dchat.home.home import Home
from dchat.upkeep.locks import check_recipient

S3 = "s3://"
_PLACE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([\x21-\x7e]{0,900}))?")


def target_of(home: Home, config: Config) -> Target:
    """Where [backup] says. Raises TargetFailed: it says nothing, or botocore is missing."""
    options = config.backup
    if options.backend == "s3":
        if not options.s3_bucket:
            raise TargetFailed(
                "[backup] s3_bucket names no bucket: name it there, or a place with --output (to list: --at)"
            )
        return _s3(options.s3_bucket, options.s3_prefix, config)
    if not options.folder:
        raise TargetFailed(
            "[backup] folder names no place: name a folder there, or a place with --output (to list: --at)"
        )
    folder = FolderTarget(home.root / Path(options.folder).expanduser())
    folder.make()
    return folder


def where_of(home: Home, config: Config) -> str:
    """The same for people, without asking it."""
    options = config.backup
    if options.backend == "s3":
        return f"{S3}{options.s3_bucket}/{options.s3_prefix}"
    return str(home.root / Path(options.folder).expanduser())


def check_place(home: Home, config: Config) -> None:
    """What can be known of the place of [backup] without asking it. Raises UpkeepError."""
    options = config.backup
    if options.encryption:
        check_recipient(home.root / Path(options.encryption_key_file).expanduser())
    if options.backend == "s3":
        check_library()
        return
    folder = home.root / Path(options.folder).expanduser()
    if not (folder if folder.exists() else folder.parent).is_dir():
        raise TargetFailed(f"{folder.parent} is no folder: is its disk mounted?")


def place_of(text: str, config: Config) -> tuple[Target, str]:
    """(target, name) of what was typed; "": a name is to be made. A place ends with / or is a folder that is there.

    Raises TargetFailed.
    """
    if text.startswith(S3):
        match = _PLACE.fullmatch(text)
        if match is None:
            raise TargetFailed(f"{text[:80]!r} is no place; allowed: s3://BUCKET/KEY, s3://BUCKET/PREFIX/")
        folders, slash, name = (match[2] or "").rpartition("/")
        return _s3(match[1], folders + slash, config), name
    path = Path(text).expanduser()
    if text.endswith("/") or path.is_dir():
        folder = FolderTarget(path)
        folder.make()
        return folder, ""
    parent = path.absolute().parent
    if not parent.is_dir():
        raise TargetFailed(f"{parent} is no folder: make it, or name another")
    return FolderTarget(parent), path.name


def _s3(bucket: str, prefix: str, config: Config) -> S3Target:
    options = config.backup
    return S3Target(bucket, prefix=prefix, region=options.s3_region, endpoint=options.s3_endpoint)
