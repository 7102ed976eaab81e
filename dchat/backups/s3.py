"""Backups in a bucket of S3, or of what speaks its protocol.

Credentials are where every program of AWS looks for them (environment, ~/.aws, the machine's role) and nowhere else.
An upload is in parts, each with its SHA-256 in the request and in what is signed: a store that takes another one has
lied. It is a whole object or none: what breaks off is aborted. Afterwards the store is asked for its size and for the
hash over the hashes of its parts; one that tells none is read back.
Source: Amazon S3 API Reference, 2006-03-01; AWS Signature Version 4 (by botocore).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dchat.backups.errors import NoSuchBackup, TargetFailed
from dchat.backups.target import CHUNK, LISTED_MAX

PART_BYTES: Final = 16 << 20  # in memory at once
PARTS_MAX: Final = 9_000  # the protocol allows 10,000
PAGES_MAX: Final = 10_000  # of a list; AWS has 1,000 names in each, and a liar need not have any
TRIES: Final = 5
CONNECT_S: Final = 10
READ_S: Final = 60
DIGEST: Final = "sha256"  # the name of the object's own note of what it is
HOW_TO_INSTALL: Final = (
    "S3 needs botocore: pip install 'dchat-validator[s3]', in a checkout .venv/bin/pip install -e '.[s3]'"
)


def check_library() -> None:
    """Raises TargetFailed: botocore is missing. It is not loaded: 40 MB, of which a node needs nothing."""
    if importlib.util.find_spec("botocore") is None:
        raise TargetFailed(HOW_TO_INSTALL)


class S3Target:
    def __init__(self, bucket: str, *, prefix: str = "", region: str = "", endpoint: str = "") -> None:
        """endpoint: of what is not AWS. Raises TargetFailed: botocore is missing, or the options are no place."""
        try:
            session, config = importlib.import_module("botocore.session"), importlib.import_module("botocore.config")
            self._errors: Any = importlib.import_module("botocore.exceptions")
        except ImportError:
            raise TargetFailed(HOW_TO_INSTALL) from None
        self._bucket, self._prefix = bucket, prefix
        self.where = f"s3://{bucket}/{prefix}"
        how = config.Config(
            signature_version="s3v4",
            s3={"payload_signing_enabled": True, "addressing_style": "path" if endpoint else "auto"},
            retries={"mode": "standard", "total_max_attempts": TRIES},
            connect_timeout=CONNECT_S, read_timeout=READ_S,
            request_checksum_calculation="when_required", response_checksum_validation="when_required",
        )  # fmt: skip
        with self._plainly("reaching it"):
            self._client: Any = session.get_session().create_client(
                "s3", region_name=region or None, endpoint_url=endpoint or None, config=how
            )

    @property
    def drafts(self) -> Path | None:
        return None

    def check_free(self, name: str) -> None:
        if self._found(name) is not None:
            raise TargetFailed(f"{self.path_of(name)} exists; a backup is never overwritten")

    def put(self, name: str, draft: Path) -> None:
        self.check_free(name)
        with draft.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            whole = hashlib.file_digest(file, DIGEST).hexdigest()
            file.seek(0)
            with self._plainly(f"uploading {name}"):
                of_parts, count = self._upload(name, file, size=size, whole=whole)
        self._look_again(name, size=size, whole=whole, parts=f"{_base64(of_parts)}-{count}")

    def _upload(self, name: str, file: Any, *, size: int, whole: str) -> tuple[bytes, int]:
        """Returns the hash over the parts' hashes, and their number. What fails leaves nothing."""
        at = {"Bucket": self._bucket, "Key": self._prefix + name}
        part_bytes = max(PART_BYTES, -(-size // PARTS_MAX))
        begun = self._client.create_multipart_upload(**at, ChecksumAlgorithm="SHA256", Metadata={DIGEST: whole})
        at["UploadId"] = begun["UploadId"]
        parts: list[dict[str, Any]] = []
        digests = hashlib.sha256()
        try:
            while data := file.read(part_bytes):
                own, number = hashlib.sha256(data).digest(), len(parts) + 1
                digests.update(own)
                sent = self._client.upload_part(**at, PartNumber=number, Body=data, ChecksumSHA256=_base64(own))
                parts.append({"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": _base64(own)})
            self._client.complete_multipart_upload(**at, MultipartUpload={"Parts": parts})
        except BaseException:
            with contextlib.suppress(self._errors.BotoCoreError, self._errors.ClientError):
                self._client.abort_multipart_upload(**at)
            raise
        return digests.digest(), len(parts)

    def _look_again(self, name: str, *, size: int, whole: str, parts: str) -> None:
        found = self._found(name)
        told = (found or {}).get("ChecksumSHA256")
        if found is None or found["ContentLength"] != size:
            is_well = False
        elif told:
            is_well = told == parts
        else:
            is_well = self._digest_of(name, size) == whole
        if not is_well:
            self.remove(name)
            raise TargetFailed(f"{self.path_of(name)}: what was uploaded is not what is there; it was removed")

    def _found(self, name: str) -> dict[str, Any] | None:
        with self._plainly(f"looking for {name}"):
            try:
                found: dict[str, Any] = self._client.head_object(
                    Bucket=self._bucket, Key=self._prefix + name, ChecksumMode="ENABLED"
                )
                found["ContentLength"] = int(found["ContentLength"])
            except self._errors.ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                    return None
                raise
        return found

    def _digest_of(self, name: str, size: int) -> str:
        digest = hashlib.sha256()
        for chunk in self._chunks(name, size):
            digest.update(chunk)
        return digest.hexdigest()

    def _chunks(self, name: str, size: int) -> Iterator[bytes]:
        """All of an object of `size` bytes, taken up again where it broke off. Raises TargetFailed."""
        at = tries = 0
        while at < size:
            with self._plainly(f"downloading {name}"):
                answer = self._client.get_object(
                    Bucket=self._bucket, Key=self._prefix + name, Range=f"bytes={at}-{size - 1}"
                )
                try:
                    while at < size and (chunk := answer["Body"].read(min(CHUNK, size - at))):
                        at += len(chunk)
                        yield chunk
                except self._errors.BotoCoreError:
                    if tries >= TRIES:
                        raise
                finally:
                    answer["Body"].close()
            tries += 1
            if at < size and tries > TRIES:
                raise TargetFailed(f"{self.path_of(name)}: it ends after {at} of {size} bytes")

    def get(self, name: str, target: Path, *, bytes_max: int) -> None:
        found = self._found(name)
        if found is None:
            raise NoSuchBackup(f"{self.path_of(name)} does not exist")
        size, digest = found["ContentLength"], hashlib.sha256()
        if size > bytes_max:
            raise TargetFailed(f"{self.path_of(name)} has {size} bytes, and there is room for {bytes_max}")
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for chunk in self._chunks(name, size):
                digest.update(chunk)
                file.write(chunk)
        said = found.get("Metadata", {}).get(DIGEST, "")
        if said and said != digest.hexdigest():
            target.unlink()
            raise TargetFailed(f"{self.path_of(name)} is damaged: it is not what was uploaded")

    def list(self) -> Iterator[tuple[str, int]]:
        count, more = 0, {"Bucket": self._bucket, "Prefix": self._prefix, "Delimiter": "/"}
        for _ in range(PAGES_MAX):
            with self._plainly("listing it"):
                page = self._client.list_objects_v2(**more)
                found = [(one["Key"].removeprefix(self._prefix), int(one["Size"])) for one in page.get("Contents", [])]
                is_last = not page.get("IsTruncated")
                more["ContinuationToken"] = "" if is_last else page["NextContinuationToken"]
            yield from found
            count += len(found)
            if is_last:
                return
            if count >= LISTED_MAX:
                break
        raise TargetFailed(
            f"{self.where}: more than {LISTED_MAX} objects, or {PAGES_MAX} pages: choose a [backup] s3_prefix"
        )

    def remove(self, name: str) -> None:
        with self._plainly(f"removing {name}"):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def clean(self, series: str) -> None:
        with self._plainly("listing broken-off uploads"):
            found = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=f"{self._prefix}{series}.")
            for one in found.get("Uploads", []):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=one["Key"], UploadId=one["UploadId"])

    def path_of(self, name: str) -> str:
        return self.where + name

    @contextlib.contextmanager
    def _plainly(self, what: str) -> Iterator[None]:
        """What botocore and the store say: neither text holds a credential."""
        try:
            yield
        except self._errors.NoCredentialsError:
            raise TargetFailed(
                f"{self.where}: {what}: there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                "write ~/.aws/credentials for the user that the node runs as"
            ) from None
        except self._errors.ClientError as error:
            told = error.response.get("Error", {})
            raise TargetFailed(f"{self.where}: {what}: {told.get('Code')}: {told.get('Message')}"[:500]) from None
        except KeyError as error:
            raise TargetFailed(f"{self.where}: {what}: its answer lacks {error}") from None
        except (self._errors.BotoCoreError, ValueError) as error:
            raise TargetFailed(f"{self.where}: {what}: {error}"[:500]) from None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
