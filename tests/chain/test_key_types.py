"""Consensus keys of ML-DSA-65 on chain: who becomes a validator by one, where the chain's parameters allow the type."""

from __future__ import annotations

import json

import pytest

from chain.currency.ledger.stake_records import CONSENSUS_KEY
from chain.tx import gas
from chain.tx.envelope.tx import decode
from chain.tx.errors import InvalidField, KeyNotPossessed, KeyRotationOff, KeyTypeNotAllowed
from chain.tx.messages import Payment
from chain.tx.messages.economy import CreateValidator, Delegate, RotateConsensusKey, prove_possession
from chain.tx.messages.upgrade import AnnounceReadiness, sign_readiness
from chain.upgrade.plan import rules_of
from consensus.abci.interface import InitChainRequest
from consensus.types.params import ConsensusParams, ValidatorParams
from crypto.hash import sha256
from crypto.keys import ED25519, KEY_TYPES, PrivKey
from crypto.mldsa import ML_DSA_65
from genesis.app_state import build_app_state
from tests.support.chain.harness import CHAIN_ID, Chain

DCHAT = 10**6
STAKE = 1_000_000 * DCHAT
KEYS: dict[str, PrivKey] = {name: KEY_TYPES[name].from_secret(sha256(b"consensus")) for name in (ED25519, ML_DSA_65)}
PQ = KEYS[ML_DSA_65]


def chain_of(*kinds: str) -> Chain:
    """A chain that allows these types."""
    chain = Chain({"ann": 10 * STAKE, "bob": 10 * STAKE})
    state = build_app_state({chain.address(name): 10 * STAKE for name in ("ann", "bob")})
    params = ConsensusParams(validator=ValidatorParams(kinds))
    chain.app.init_chain(InitChainRequest(0, CHAIN_ID, params, (), json.dumps(state).encode(), 1))
    return chain


def create(chain: Chain, key: PrivKey = PQ, **changes: object) -> CreateValidator:
    operator = chain.address("ann")
    message = CreateValidator(
        operator, key.pub_key.bytes, "ann", 10**17, 2 * 10**17, 10**16, STAKE, STAKE,
        prove_possession(key, CHAIN_ID, operator),
    )  # fmt: skip
    return message._replace(**changes)


@pytest.mark.parametrize("kind", [ED25519, ML_DSA_65])
def test_a_validator_comes_by_a_key_of_an_allowed_type(kind: str) -> None:
    chain, key = chain_of(ED25519, ML_DSA_65), KEYS[kind]
    assert rules_of(chain.app.base).key_types == (ED25519, ML_DSA_65)
    made = chain.block(chain.tx("ann", create(chain, key)))
    assert made.tx_results[0].code == 0, made.tx_results[0].log
    assert [(update.pub_key, update.power) for update in made.validator_updates] == [(key.pub_key, 1_000)]
    more = chain.block(chain.tx("bob", Delegate(chain.address("bob"), chain.address("ann"), STAKE)))
    assert [(update.pub_key, update.power) for update in more.validator_updates] == [(key.pub_key, 2_000)]
    chain.restart()
    chain.assert_invariants()
    chain.block(chain.tx("bob", Payment(chain.address("bob"), chain.address("ann"), 1)))


@pytest.mark.parametrize(
    ("kinds", "kind"), [((ED25519,), ML_DSA_65), (("secp256k1", ED25519), ML_DSA_65), ((ML_DSA_65,), ED25519)]
)
def test_where_the_type_is_not_allowed_no_block_has_it(kinds: tuple[str, ...], kind: str) -> None:
    """As on a build that does not know the type at all: refused at the door, and with whoever proposes it.

    The engine stops at an update with such a key: no transaction may make one.
    """
    chain = chain_of(*kinds)
    tx = chain.tx("ann", create(chain, KEYS[kind]))
    assert chain.check(tx).code == KeyTypeNotAllowed.code
    assert f"{kind}, allowed: {', '.join(kinds)}" in chain.check(tx).log
    assert KeyTypeNotAllowed.rule in chain.propose(tx)
    assert chain.prepare(tx) == ()
    assert chain.block(tx, propose=False).tx_results[0].code == KeyTypeNotAllowed.code
    assert chain.balance("ann") == 10 * STAKE
    assert not chain.app.base.get(CONSENSUS_KEY + KEYS[kind].pub_key.address)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"consensus_key": bytes(1_951)}, "1951 bytes, expected 32 (ed25519) or 1952 (ml_dsa_65)"),
        ({"consensus_key": bytes(33)}, "33 bytes, expected 32"),
        ({"possession": bytes(64)}, "possession: 64 bytes, expected 3309"),
        ({"possession": bytes(3_310)}, "possession: 3310 bytes, expected 3309"),
        ({"consensus_key": bytes(32)}, "possession: 3309 bytes, expected 64"),
    ],
)
def test_sizes_that_no_type_has_are_refused_before_anything_is_verified(changes: dict[str, bytes], told: str) -> None:
    chain = chain_of(ED25519, ML_DSA_65)
    with pytest.raises(InvalidField) as refused:
        decode(chain.tx("ann", create(chain, **changes)))
    assert told in str(refused.value)


def test_a_key_of_somebody_else_proves_nothing() -> None:
    chain = chain_of(ED25519, ML_DSA_65)
    stolen = create(chain, possession=prove_possession(PQ, CHAIN_ID, chain.address("bob")))
    assert chain.block(chain.tx("ann", stolen)).tx_results[0].code == KeyNotPossessed.code


def test_who_sends_it_pays_for_the_verification() -> None:
    chain = chain_of(ED25519, ML_DSA_65)
    small, large = (decode(chain.tx("ann", create(chain, KEYS[kind]))) for kind in (ED25519, ML_DSA_65))
    assert (small.key_types, large.key_types) == ((ED25519,), (ML_DSA_65,))
    more = large.intrinsic_gas - small.intrinsic_gas - gas.GAS_BYTE * (len(large.raw) - len(small.raw))
    assert more == gas.GAS_ML_DSA


def test_readiness_for_an_upgrade_is_announced_by_such_a_key() -> None:
    chain = chain_of(ED25519, ML_DSA_65)
    chain.block(chain.tx("ann", create(chain)))
    said = AnnounceReadiness(chain.address("ann"), PQ.pub_key.bytes, ("spring",), "1.0", 100, b"")
    signed = sign_readiness(PQ, CHAIN_ID, said)
    tx = chain.tx("ann", signed)
    assert decode(tx).key_types == (ML_DSA_65,)
    done = chain.block(tx)
    assert done.tx_results[0].code == 0, done.tx_results[0].log


def test_a_validator_changes_to_a_key_of_ml_dsa_where_the_chain_lets_it() -> None:
    """By rotate_consensus_key: the same gate, and what the engine is told has each key's type."""
    rotation = RotateConsensusKey(b"", PQ.pub_key.bytes, b"")
    for kinds, code in (((ED25519,), KeyTypeNotAllowed.code), ((ED25519, ML_DSA_65), KeyRotationOff.code)):
        chain = chain_of(*kinds)
        assert chain.block(chain.tx("ann", create(chain, KEYS[ED25519]))).tx_results[0].code == 0
        operator = chain.address("ann")
        message = rotation._replace(operator=operator, possession=prove_possession(PQ, CHAIN_ID, operator))
        tx = chain.tx("ann", message)
        assert decode(tx).key_types == (ML_DSA_65,)
        assert chain.block(tx, propose=code != KeyTypeNotAllowed.code).tx_results[0].code in (0, code)
