"""The errors of the block types: data from outside breaks a rule, our own documents do, or we cannot judge.

The line between an error and an assertion: bytes, text and numbers from outside are judged where they enter (decoding,
`validate`, `intake`, `checks`) and refused with one of these errors; behind that, and for what this node computed, an
assertion says what our own code promises. So no assertion may depend on a value that was not judged before: a time that
is computed from others' times is brought into range first (`timestamps.within_time`), a block that is only proposed is
asked for nothing.

Each message says what, where, what was expected and what came. Three roots tell whose fault it is: `InvalidData` is the
sender's, `InvalidDocument` the operator's or the application's, `EvidenceUnverifiable` nobody's.
"""

from __future__ import annotations


class InvalidData(ValueError):
    """Data that breaks a rule of the formats: whoever sent it is at fault, never this node."""


class InvalidDocument(ValueError):
    """What the operator's files, or the application's answers, say of the chain breaks a rule: no peer is at fault."""


class Malformed(InvalidData):
    """Bytes or text that cannot be read as what they should be."""


class InvalidBits(InvalidData):
    """A bit array whose sizes contradict each other."""


class InvalidVote(InvalidData):
    """A vote, or a vote extension, that breaks a rule by itself."""


class InvalidProposal(InvalidData):
    """A proposal that breaks a rule by itself."""


class InvalidPart(InvalidData):
    """A block part that breaks a rule, or does not belong to its set."""


class InvalidValidators(InvalidData):
    """A validator set, or changes to one, that break a rule."""


class InvalidParams(InvalidDocument):
    """Consensus parameters outside their range."""


class InvalidGenesis(InvalidDocument):
    """A genesis document that breaks a rule."""


class InvalidFile(InvalidDocument):
    """A key or sign-state file that cannot be what it claims."""


class InvalidBlock(InvalidData):
    """A block, header, commit or evidence that breaks a rule."""


class InvalidBlockId(InvalidBlock):
    """A block id, or part-set header, of a wrong shape."""


class InvalidHeader(InvalidBlock):
    """A header that breaks a rule by itself or differs from what the state demands."""


class InvalidLightBlock(InvalidBlock):
    """A signed header or light block whose pieces do not fit together."""


class InvalidEvidence(InvalidBlock):
    """Evidence that proves nothing, or claims wrong numbers."""


class EvidenceUnverifiable(Exception):
    """What is needed to judge the evidence (a header, a set) is not stored here: of this node alone, nobody's fault.

    So it is no InvalidData: whoever handles a lie handles this apart, or lets it pass on.
    """


class EvidenceUnwanted(EvidenceUnverifiable):
    """It proves an offence with more bytes than it takes, or one too many: CometBFT takes it, we vote nil."""


class InvalidCommit(InvalidBlock):
    """A commit that breaks a rule by itself."""


class WrongSetSize(InvalidCommit):
    def __init__(self, *, expected: int, got: int) -> None:
        super().__init__(f"commit has {got} signature slots, expected {expected}")
        self.expected, self.got = expected, got


class WrongHeight(InvalidCommit):
    def __init__(self, *, expected: int, got: int) -> None:
        super().__init__(f"commit is of height {got}, expected {expected}")
        self.expected, self.got = expected, got


class WrongBlockId(InvalidCommit):
    """The commit is for another block."""


class WrongSigner(InvalidCommit):
    """A slot names another address than the validator of that slot, or an address signs twice."""


class BadSignature(InvalidCommit):
    def __init__(self, index: int, signature: bytes) -> None:
        super().__init__(f"commit signature {index} does not verify: {signature.hex()}")
        self.index = index


class NotEnoughPower(InvalidCommit):
    def __init__(self, *, got: int, needed: int) -> None:
        super().__init__(f"commit carries voting power {got}, needs more than {needed}")
        self.got, self.needed = got, needed
