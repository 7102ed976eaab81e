"""ICS-23 proofs of existence and absence, and a strict verifier of the two kinds of tree that we have.

Pure. The verifier accepts less than the format allows: leaf operations that equal the specification's, inner nodes of
exactly a tag and two children, and in the sparse tree a leaf only at the place that its key's hash gives it. What it
accepts, the Go package accepts. That closes the forged absences of Dragonberry, where bytes moved between a node's
prefix, its child and its suffix.
Source: cosmos/ics23, proofs.proto and the Go package v0.11.0 (SmtSpec, TendermintSpec).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from google.protobuf.message import DecodeError

from crypto.hash import uvarint
from crypto.merkle import InvalidProof
from proto.ics23 import proofs_pb2 as pb

HASH_BYTES = 32
INNER_TAG = b"\x01"
EMPTY_CHILD = bytes(HASH_BYTES)
PROOF_BYTES_MAX = 262_144  # two proofs of the largest value and depth, with room


@dataclass(frozen=True, slots=True)
class LeafOp:
    """How a key and a value become a leaf: H(prefix ‖ key ‖ value), each hashed and measured first as told."""

    prehash_key: bool
    length: int
    prefix: bytes = b"\x00"

    def apply(self, key: bytes, value: bytes) -> bytes:
        """The leaf's hash; the value is always hashed first."""
        name = sha256(key).digest() if self.prehash_key else key
        content = sha256(value).digest()
        if self.length == pb.VAR_PROTO:
            name, content = uvarint(len(name)) + name, uvarint(len(content)) + content
        return sha256(self.prefix + name + content).digest()

    def to_proto(self) -> pb.LeafOp:
        return pb.LeafOp(
            hash=pb.SHA256,
            prehash_key=pb.SHA256 if self.prehash_key else pb.NO_HASH,
            prehash_value=pb.SHA256,
            length=self.length,  # type: ignore[arg-type]  # the stub wants the enum's type, and it is an int
            prefix=self.prefix,
        )


@dataclass(frozen=True, slots=True)
class ProofSpec:
    """One kind of tree. `hashed_keys`: leaves are ordered, and placed, by the hash of their key."""

    name: str
    leaf: LeafOp
    depth_max: int
    hashed_keys: bool
    empty_child: bytes | None

    def to_proto(self) -> pb.ProofSpec:
        """The specification as other implementations take it."""
        inner = pb.InnerSpec(
            child_order=[0, 1],
            child_size=HASH_BYTES,
            min_prefix_length=len(INNER_TAG),
            max_prefix_length=len(INNER_TAG),
            empty_child=self.empty_child or b"",
            hash=pb.SHA256,
        )
        return pb.ProofSpec(
            leaf_spec=self.leaf.to_proto(),
            inner_spec=inner,
            max_depth=self.depth_max if self.hashed_keys else 0,  # the tree of names takes the format's default
            prehash_key_before_comparison=self.hashed_keys,
        )


SMT = ProofSpec("smt", LeafOp(True, pb.NO_PREFIX), depth_max=256, hashed_keys=True, empty_child=EMPTY_CHILD)
SIMPLE = ProofSpec("simple", LeafOp(False, pb.VAR_PROTO), depth_max=128, hashed_keys=False, empty_child=None)


@dataclass(frozen=True, slots=True)
class Step:
    """One inner node on the way up: on which side our node is, and the hash beside it."""

    is_right: bool
    sibling: bytes

    def to_proto(self) -> pb.InnerOp:
        if self.is_right:
            return pb.InnerOp(hash=pb.SHA256, prefix=INNER_TAG + self.sibling)
        return pb.InnerOp(hash=pb.SHA256, prefix=INNER_TAG, suffix=self.sibling)


@dataclass(frozen=True, slots=True)
class Existence:
    """That `key` is `value`; `path` runs from the leaf to the root."""

    key: bytes
    value: bytes
    path: tuple[Step, ...]

    def to_proto(self, spec: ProofSpec) -> pb.ExistenceProof:
        return pb.ExistenceProof(
            key=self.key, value=self.value, leaf=spec.leaf.to_proto(), path=[step.to_proto() for step in self.path]
        )


@dataclass(frozen=True, slots=True)
class Absence:
    """That `key` is not there: its neighbours are, with nothing between them."""

    key: bytes
    left: Existence | None
    right: Existence | None

    def to_proto(self, spec: ProofSpec) -> pb.NonExistenceProof:
        return pb.NonExistenceProof(
            key=self.key,
            left=self.left.to_proto(spec) if self.left else None,
            right=self.right.to_proto(spec) if self.right else None,
        )


def encode(proof: Existence | Absence, spec: ProofSpec) -> bytes:
    """The bytes of a CommitmentProof."""
    if isinstance(proof, Existence):
        return pb.CommitmentProof(exist=proof.to_proto(spec)).SerializeToString()
    return pb.CommitmentProof(nonexist=proof.to_proto(spec)).SerializeToString()


def decode(data: bytes, spec: ProofSpec) -> Existence | Absence:
    """Read a CommitmentProof of one key. Raises: InvalidProof, also where it departs from `spec`."""
    if len(data) > PROOF_BYTES_MAX:
        raise InvalidProof(f"proof of {len(data)} bytes; allowed: {PROOF_BYTES_MAX}")
    try:
        message = pb.CommitmentProof.FromString(data)
    except DecodeError as error:
        raise InvalidProof("proof: not a CommitmentProof") from error
    kind = message.WhichOneof("proof")
    if kind == "exist":
        return _existence(message.exist, spec)
    if kind == "nonexist":
        absent = message.nonexist
        left = _existence(absent.left, spec) if absent.HasField("left") else None
        right = _existence(absent.right, spec) if absent.HasField("right") else None
        return Absence(absent.key, left, right)
    raise InvalidProof(f"proof of kind {kind}; allowed: exist, nonexist")


def _existence(message: pb.ExistenceProof, spec: ProofSpec) -> Existence:
    if message.leaf != spec.leaf.to_proto():
        raise InvalidProof(f"{spec.name} proof: leaf operation {message.leaf} is not the specification's")
    if len(message.path) > spec.depth_max:
        raise InvalidProof(f"{spec.name} proof: {len(message.path)} inner nodes; allowed: {spec.depth_max}")
    return Existence(message.key, message.value, tuple(_step(inner, spec) for inner in message.path))


def _step(inner: pb.InnerOp, spec: ProofSpec) -> Step:
    tag, sibling = inner.prefix[:1], inner.prefix[1:]
    if inner.hash != pb.SHA256 or tag != INNER_TAG:
        raise InvalidProof(f"{spec.name} proof: inner node with hash {inner.hash} and tag {tag.hex()}")
    if not sibling and len(inner.suffix) == HASH_BYTES:
        return Step(is_right=False, sibling=inner.suffix)
    if len(sibling) == HASH_BYTES and not inner.suffix:
        return Step(is_right=True, sibling=sibling)
    raise InvalidProof(
        f"{spec.name} proof: inner node of {len(sibling)} bytes before and {len(inner.suffix)} after its child; "
        f"expected {HASH_BYTES} on one side"
    )


def root_of(proof: Existence, spec: ProofSpec) -> bytes:
    """The root that a proof leads to. Raises: InvalidProof (empty key or value, a leaf out of its place)."""
    if not proof.key or not proof.value:
        raise InvalidProof(f"{spec.name} proof: empty {'value' if proof.key else 'key'}")
    if spec.hashed_keys:
        place = int.from_bytes(sha256(proof.key).digest(), "big")
        for depth, step in enumerate(reversed(proof.path)):
            if place >> (255 - depth) & 1 != step.is_right:
                raise InvalidProof(f"{spec.name} proof: the leaf of {proof.key.hex()} is not where its hash puts it")
    node = spec.leaf.apply(proof.key, proof.value)
    for step in proof.path:
        pair = step.sibling + node if step.is_right else node + step.sibling
        node = sha256(INNER_TAG + pair).digest()
    return node


def verify_existence(proof: Existence, spec: ProofSpec, root: bytes, *, key: bytes, value: bytes) -> None:
    """Check that under `root` the key is the value. Raises: InvalidProof."""
    if proof.key != key:
        raise InvalidProof(f"{spec.name} proof: is of key {proof.key.hex()}, expected {key.hex()}")
    if proof.value != value:
        raise InvalidProof(f"{spec.name} proof: value is {proof.value.hex()}, expected {value.hex()}")
    got = root_of(proof, spec)
    if got != root:
        raise InvalidProof(f"{spec.name} proof: leads to root {got.hex()}, expected {root.hex()}")


def verify_absence(proof: Absence, spec: ProofSpec, root: bytes, *, key: bytes) -> None:
    """Check that under `root` the key has no value. Raises: InvalidProof."""
    if not key or proof.key != key:
        raise InvalidProof(f"{spec.name} proof: is of key {proof.key.hex()}, expected {key.hex() or '(empty)'}")
    target = _rank(key, spec)
    left, right = proof.left, proof.right
    for side, neighbour in (("left", left), ("right", right)):
        if neighbour is None:
            continue
        verify_existence(neighbour, spec, root, key=neighbour.key, value=neighbour.value)
        rank = _rank(neighbour.key, spec)
        if rank == target or (rank < target) != (side == "left"):
            raise InvalidProof(f"{spec.name} proof: its {side} neighbour is not on that side of the key")
    if left is None and right is None:
        raise InvalidProof(f"{spec.name} proof: no neighbour")
    if left is None and right is not None:
        _check_edge(right.path, spec, leftmost=True)
    elif right is None and left is not None:
        _check_edge(left.path, spec, leftmost=False)
    elif left is not None and right is not None:
        _check_neighbours(left.path, right.path, spec)


def _rank(key: bytes, spec: ProofSpec) -> bytes:
    return sha256(key).digest() if spec.hashed_keys else key


def _check_edge(path: tuple[Step, ...], spec: ProofSpec, *, leftmost: bool) -> None:
    """Check that nothing lies further out than this path."""
    for step in path:
        if step.is_right == leftmost and step.sibling != spec.empty_child:
            raise InvalidProof(f"{spec.name} proof: something lies {'left' if leftmost else 'right'} of the neighbour")


def _check_neighbours(left: tuple[Step, ...], right: tuple[Step, ...], spec: ProofSpec) -> None:
    """Check that nothing lies between two paths, which run from leaf to root."""
    common = 0
    for one, other in zip(reversed(left), reversed(right), strict=False):
        if one != other:
            break
        common += 1
    left, right = left[: len(left) - common], right[: len(right) - common]
    if not left or not right or left[-1].is_right or not right[-1].is_right:
        raise InvalidProof(f"{spec.name} proof: the neighbours are not on two sides of one node")
    _check_edge(left[:-1], spec, leftmost=False)
    _check_edge(right[:-1], spec, leftmost=True)
