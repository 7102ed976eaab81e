"""A consensus key that never leaves its token or its service."""

from __future__ import annotations

from dchat.config.options import Section, option

PKCS11, KMS = "pkcs11", "kms"


class HsmSection(Section):
    """A consensus key on a PKCS#11 token, or at AWS KMS (docs/signer.md): for `dchat validator` and `dchat signer`."""

    enable: bool = option(False, "Sign by such a key: one of pkcs11_library and kms_key_id says which.")
    pkcs11_library: str = option("", "The token's library, which its vendor brings: an absolute path.")
    pkcs11_slot: str = option("", "The slot's number, or the token's label. Empty: the only token that there is.")
    pkcs11_pin_file: str = option("", "Holds the user's PIN, mode 0600. Relative to home.")
    pkcs11_key_label: str = option(
        "dchat-consensus", "The label of the key on the token.", min_length=1, max_length=100
    )
    kms_key_id: str = option(
        "", "The id, ARN or alias/NAME of a key of AWS KMS: ECC_NIST_EDWARDS25519, to sign.", max_length=2_048
    )
    aws_region: str = option(
        "", "Its region. Empty: AWS_DEFAULT_REGION, or ~/.aws/config.", pattern="^[a-z0-9-]{0,40}$"
    )
    kms_endpoint: str = option(
        "", "https://HOST of a KMS that is not at AWS's own address. Empty: the region's.", pattern="^(https?://.*)?$"
    )

    @property
    def kind(self) -> str:
        """pkcs11, kms, or empty: the key is in a file."""
        return "" if not self.enable else PKCS11 if self.pkcs11_library else KMS

    @property
    def faults(self) -> list[str]:
        """What of it contradicts itself, in sentences."""
        named = [name for name in ("pkcs11_library", "kms_key_id") if getattr(self, name)]
        if not self.enable:
            return [f"[hsm] {name} is set and not used: give --hsm (enable = true), or leave it out" for name in named]
        if len(named) != 1:
            return ["--hsm ([hsm] enable) needs one of pkcs11_library and kms_key_id: it says where the key is"]
        if self.pkcs11_library and not self.pkcs11_pin_file:
            return ["[hsm] pkcs11_library needs pkcs11_pin_file: a token signs for nobody who does not log in"]
        return []
