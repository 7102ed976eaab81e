"""Why what belongs to an identity is refused: profiles, blocks, prekeys, devices; and what guardians of accounts do.

The tree is `chain.tx.errors`'.
"""

from __future__ import annotations

from chain.tx.errors import IdentitiesError, TxError


class Blocked(IdentitiesError):
    code, rule = 261, "nobody begins anything with an identity that blocks them"


class AlreadyBlocked(IdentitiesError):
    code, rule = 262, "an account is blocked once"


class NotBlocked(IdentitiesError):
    code, rule = 263, "only who is blocked is unblocked"


class PrekeySignerUnknown(IdentitiesError):
    code, rule = 264, "prekeys are signed by a key of their identity"


class BadPrekeySignature(IdentitiesError):
    code, rule = 265, "a prekey's signature is valid for chain, identity, use and key"


class TooManyPrekeys(IdentitiesError):
    code, rule = 266, "an identity's one-time prekeys are bounded in number"


class NoPrekeys(IdentitiesError):
    code, rule = 267, "prekeys are claimed where there are some"


class TooManyClaims(IdentitiesError):
    code, rule = 268, "one claims a bounded number of an identity's prekeys in a period"


class DeviceExpired(IdentitiesError):
    code, rule = 269, "a device key signs until its time"


class DeviceRoleTooLow(IdentitiesError):
    code, rule = 270, "a device key signs what its role allows"


class UnknownDevice(IdentitiesError):
    code, rule = 271, "a device key that is revoked is the identity's"


class TooManyDevices(IdentitiesError):
    code, rule = 272, "an identity's device keys are bounded in number"


# ------------------------------------------------------------------------------ codespace "guardians"


class GuardiansError(TxError):
    codespace = "guardians"


class NoGuardians(GuardiansError):
    code, rule = 360, "the account has guardians"


class GuardiansUnchanged(GuardiansError):
    code, rule = 361, "a change of guardians changes them, or withdraws one that waits"


class NotGuardian(GuardiansError):
    code, rule = 362, "an account is recovered by its guardians"


class GuardianQuiet(GuardiansError):
    code, rule = 363, "a guardian whose recovery was objected to waits the delay"


class RecoveryAgreed(GuardiansError):
    code, rule = 364, "while a recovery is agreed on, no other is started"


class UnknownRecovery(GuardiansError):
    code, rule = 365, "the recovery is open"


class RecoveryLapsed(GuardiansError):
    code, rule = 366, "a recovery is approved before its time to agree is over"


class AlreadyApproved(GuardiansError):
    code, rule = 367, "a guardian approves a recovery once"


class Overruled(GuardiansError):
    code, rule = 368, "an objection ends what fewer guardians approved than overrule it"


# ------------------------------------------------------------------------------ codespace "burners"


class BurnersError(TxError):
    codespace = "burners"


class IdentityExpired(BurnersError):
    code, rule = 376, "an identity signs until its time"


class BurnerMayNot(BurnersError):
    code, rule = 377, "what lasts is of identities that last"


class OfAnEarlierLife(BurnersError):
    code, rule = 378, "what is unordered is signed for the identity that the address has now"
