"""Where backups are kept: a folder and a bucket, held to the same, and what each does when it breaks off or lies."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dchat.backups import s3
from dchat.backups.errors import NoSuchBackup, TargetFailed
from dchat.backups.folder import FolderTarget
from dchat.backups.s3 import S3Target
from dchat.backups.target import Target
from tests.support.node.s3 import BUCKET, ENVIRONMENT, REGION, SECRET, Store, s3_store

ROOM = 1 << 30
SERIES = "chain.00112233"
NAME = f"{SERIES}.0000000007.20261129T170000Z.backup"


@pytest.fixture(scope="module")
def server() -> Iterator[Store]:
    with s3_store() as store:
        yield store


@pytest.fixture
def store(server: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Empty and well."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    url = server.url
    server.__init__(url=url)  # type: ignore[misc]  # as it was begun
    monkeypatch.setattr(s3, "PART_BYTES", 5 << 10)
    return server


def bucket(store: Store, prefix: str = "dchat/") -> S3Target:
    return S3Target(BUCKET, prefix=prefix, region=REGION, endpoint=store.url)


@pytest.fixture(params=["folder", "s3"])
def target(request: pytest.FixtureRequest, tmp_path: Path, store: Store) -> Target:
    if request.param == "s3":
        return bucket(store)
    (tmp_path / "kept").mkdir()
    return FolderTarget(tmp_path / "kept")


def draft(tmp_path: Path, size: int = 12_345) -> Path:
    path = tmp_path / "draft"
    path.write_bytes(os.urandom(size))
    return path


def test_what_is_put_is_listed_brought_back_and_removed(target: Target, tmp_path: Path) -> None:
    written = draft(tmp_path)
    content = written.read_bytes()
    target.put(NAME, written)
    assert list(target.list()) == [(NAME, len(content))]
    target.get(NAME, tmp_path / "back", bytes_max=ROOM)
    assert (tmp_path / "back").read_bytes() == content
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o600
    with pytest.raises(TargetFailed, match="never overwritten"):
        target.put(NAME, draft(tmp_path))
    with pytest.raises(TargetFailed, match="there is room for 100"):
        target.get(NAME, tmp_path / "large", bytes_max=100)
    target.remove(NAME)
    assert list(target.list()) == []
    with pytest.raises(NoSuchBackup):
        target.get(NAME, tmp_path / "none", bytes_max=ROOM)


def test_what_broken_off_puts_of_this_node_left_is_cleaned_and_nothing_else(
    target: Target, store: Store, tmp_path: Path
) -> None:
    if isinstance(target, FolderTarget):
        left = [tmp_path / "kept" / name for name in (f".{SERIES}.99.new", ".chain.ffffffff.99.new", "mine.new")]
        for path in left:
            path.write_bytes(b"half")
        target.clean(SERIES)
        assert [path.exists() for path in left] == [False, True, True]
    else:
        store.uploads = {name: (f"dchat/{name}.x", {}, {}) for name in (SERIES, "chain.ffffffff")}
        target.clean(SERIES)
        assert list(store.uploads) == ["chain.ffffffff"]


# ------------------------------------------------------------------------------------------------ S3


def broken_off(store: Store) -> None:
    store.refuse.add("part")


def never_ended(store: Store) -> None:
    store.refuse.add("complete")


def flipped(store: Store) -> None:
    store.flips = True


def flipped_in_silence(store: Store) -> None:
    store.flips, store.tells_checksums = True, False


@pytest.mark.parametrize("wrong", [broken_off, never_ended, flipped, flipped_in_silence])
def test_an_upload_that_fails_or_is_not_what_was_sent_leaves_nothing(
    wrong: Callable[[Store], None], store: Store, tmp_path: Path
) -> None:
    wrong(store)
    with pytest.raises(TargetFailed, match=r"AccessDenied|not what is there"):
        bucket(store).put(NAME, draft(tmp_path))
    assert (store.objects, store.uploads) == ({}, {})


def test_a_store_that_tells_no_checksums_is_read_back(store: Store, tmp_path: Path) -> None:
    store.tells_checksums = False
    bucket(store).put(NAME, draft(tmp_path))
    assert "get" in store.calls
    assert len(store.objects) == 1


def test_a_part_that_fails_is_sent_again(store: Store, tmp_path: Path) -> None:
    store.fail = {"part": 2}
    bucket(store).put(NAME, draft(tmp_path))
    assert store.calls.count("part") == 3 + 2


def test_a_download_that_breaks_off_goes_on_where_it_was(store: Store, tmp_path: Path) -> None:
    written = draft(tmp_path)
    bucket(store).put(NAME, written)
    store.cuts = 2
    bucket(store).get(NAME, tmp_path / "back", bytes_max=ROOM)
    assert (tmp_path / "back").read_bytes() == written.read_bytes()
    store.cuts = 1_000
    with pytest.raises(TargetFailed):
        bucket(store).get(NAME, tmp_path / "again", bytes_max=ROOM)


def test_a_download_that_is_not_what_was_put_is_refused(store: Store, tmp_path: Path) -> None:
    bucket(store).put(NAME, draft(tmp_path))
    kept = store.objects[f"dchat/{NAME}"]
    kept.data = b"\0" + kept.data[1:]
    with pytest.raises(TargetFailed, match="is damaged"):
        bucket(store).get(NAME, tmp_path / "back", bytes_max=ROOM)
    assert not (tmp_path / "back").exists()


def test_a_long_list_is_read_in_pages(store: Store, tmp_path: Path) -> None:
    for number in range(8):
        bucket(store).put(f"{number}", draft(tmp_path, 10))
    assert [name for name, _ in bucket(store).list()] == [str(number) for number in range(8)]
    assert store.calls.count("list") == 3


@pytest.mark.parametrize("lie", ["no end", "no token", "no name"])
def test_a_list_that_is_none_ends(lie: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without a name, each of which another follows, were asked for until somebody stopped it."""
    monkeypatch.setattr(s3, "PAGES_MAX", 4)
    told, why = {
        "no end": ("<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>", "or 4 pages"),
        "no token": ("<IsTruncated>true</IsTruncated>", "lacks 'NextContinuationToken'"),
        "no name": ("<Contents><Size>1</Size></Contents>", "lacks 'Key'"),
    }[lie]
    store.lists = told
    with pytest.raises(TargetFailed, match=why):
        list(bucket(store).list())
    assert store.calls.count("list") == (4 if lie == "no end" else 1)


def test_credentials_come_from_the_environment_and_are_in_no_text(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for file in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(file, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another secret")
    with pytest.raises(TargetFailed, match="SignatureDoesNotMatch") as refused:
        list(bucket(store).list())
    assert "another secret" not in str(refused.value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(TargetFailed, match="there are no credentials: set AWS_ACCESS_KEY_ID"):
        list(bucket(store).list())
    file = tmp_path / "credentials"
    file.write_text(f"[default]\naws_access_key_id = AKIATEST\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    assert list(bucket(store).list()) == []


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "botocore.session", None)
    with pytest.raises(TargetFailed, match=r"pip install 'dchat-validator\[s3\]'"):
        S3Target(BUCKET)


# ------------------------------------------------------------------------------------------------ a folder


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_disk_without_links_takes_backups(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As exFAT of a stick, and many shares."""

    def link(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number), str(source))

    monkeypatch.setattr(os, "link", link)
    kept = tmp_path / "kept"
    kept.mkdir()
    written = draft(tmp_path)
    content = written.read_bytes()
    FolderTarget(kept).put(NAME, written)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == {NAME: content}
    with pytest.raises(TargetFailed, match="never overwritten"):
        FolderTarget(kept).put(NAME, draft(tmp_path))


def test_a_folder_on_a_disk_that_is_not_mounted_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(TargetFailed, match="No such file or directory"):
        FolderTarget(tmp_path / "mount" / "kept").make()


def test_a_copy_that_is_not_what_was_written_is_no_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dchat.backups import folder

    copy = folder._copy

    def lying(source: Path, target: Path) -> None:
        copy(source, target)
        target.write_bytes(target.read_bytes()[:-1])

    monkeypatch.setattr(folder, "_copy", lying)
    (tmp_path / "kept").mkdir()
    with pytest.raises(TargetFailed, match="not what is read back"):
        FolderTarget(tmp_path / "kept").put(NAME, draft(tmp_path))
    assert list((tmp_path / "kept").iterdir()) == []
