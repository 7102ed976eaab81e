"""Guardians: others who give an account new keys when its own are lost, while whoever has the keys of now may object.

A guardian proposes a key policy, others approve. Once as many do as the account said, the delay begins; at its end the
block itself changes the keys, on both machines. Until that is done the account objects by its keys of now, and wins in
the same block: its transaction stands before the end of the block. A guardian whose recovery was objected to is quiet
for the delay.
Whose word counts never changes under a recovery: a change of guardians waits the delay of before, and longer while a
recovery is agreed on, so that a thief who removes them is late. Block time alone, which may jump over a delay in one
block, carries nothing out: BLOCKS_MIN blocks lie between.
Source: docs/identities.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

from bridge.conditions import earlier_leg
from bridge.guardian_records import (
    FAILED,
    GUARDIANS,
    RECOVERIES,
    WAITING,
    Guardians,
    Quiet,
    Recoveries,
    Recovery,
    Terms,
)
from bridge.keys import change, recorded, require_possessed, void_what_was_given
from chain.chat.ledger.records import IDENTITY, identity_of
from chain.currency.grants.fee_grants import last_time_ns
from chain.currency.ledger.records import ACCOUNT, EPOCHS
from chain.currency.ledger.stake_records import Now
from chain.kernel.branch import Branch, Readable, Scan, State
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, some, time_text
from chain.kernel.modules import BlockContext
from chain.tx import gas
from chain.tx.codec import height_bytes
from chain.tx.errors import PolicyUnchanged, UnknownAccount
from chain.tx.identity_errors import (
    AlreadyApproved,
    GuardianQuiet,
    GuardiansUnchanged,
    NoGuardians,
    NotGuardian,
    Overruled,
    RecoveryAgreed,
    RecoveryLapsed,
    UnknownRecovery,
)
from chain.tx.messages.guardians import (
    ApproveRecovery,
    ObjectRecovery,
    SetGuardians,
    StartRecovery,
    recovery_id,
)
from chain.tx.policies import parse_policy
from consensus.formats.units import NS_PER_S
from crypto.hash import ADDRESS_BYTES

BLOCKS_MIN: Final = 20  # a minute at least where blocks come every three seconds; more than a bundle waits in a pool
CHANGE: Final = b"c"  # ‖ address: a change of guardians that waits
RECOVERY: Final = b"r"  # ‖ address ‖ starter


def guardians_of(state: Readable, address: bytes) -> Guardians:
    """Raises: NoGuardians."""
    found = state.get(GUARDIANS + address)
    if found is None:
        raise NoGuardians(account(address))
    return found


def recoveries_of(state: Readable, address: bytes) -> tuple[Recovery, ...]:
    found = state.get(RECOVERIES + address)
    return found.of if found is not None else ()


def _put(state: State, address: bytes, recoveries: tuple[Recovery, ...]) -> None:
    state.set(RECOVERIES + address, Recoveries(recoveries) if recoveries else None)


def _agreed(recoveries: tuple[Recovery, ...]) -> Recovery | None:
    return next((recovery for recovery in recoveries if recovery.agreed_height), None)


def _stand(state: Readable, recovery: Recovery) -> list[bytes]:
    """Who approves, of those who did: what a guardian said in an earlier epoch of its account is not its word."""
    return _all_stand(state, (recovery,))[0]


def _all_stand(state: Readable, recoveries: Sequence[Recovery]) -> list[list[bytes]]:
    """Of each recovery; each guardian's epoch is read once."""
    said = [recovery.said for recovery in recoveries]
    now = {guardian: EPOCHS.of(state, guardian) for guardian in dict.fromkeys(who for one in said for who in one)}
    return [[guardian for guardian, epoch in one.items() if epoch == now[guardian]] for one in said]


def _item(address: bytes, recovery: Recovery) -> bytes:
    return RECOVERY + address + recovery.starter


def _take_out(state: State, time_ns: int, item: bytes) -> None:
    """Out of the queue, where it still is: what is worked off, or held back, is not."""
    if state.get(WAITING.prefix + height_bytes(time_ns) + item) is not None:
        WAITING.remove(state, time_ns, item)


def _end_all(state: State, address: bytes, recoveries: tuple[Recovery, ...]) -> None:
    for recovery in recoveries:
        _take_out(state, recovery.end_ns, _item(address, recovery))
    _put(state, address, ())


# ------------------------------------------------------------------------------ whose guardians


def set_guardians(ctx: Context, message: SetGuardians) -> Leg:
    """At once where there are none: nobody is there whom it could harm. Else after the delay of now.

    Raises: NoGuardians, GuardiansUnchanged, UnknownAccount.
    """
    branch, address, terms = ctx.branch, message.address, Terms(*message[1:])
    before = branch.get(GUARDIANS + address)
    if before is None:
        if not terms.guardians:
            raise NoGuardians(account(address))
        _require_lasting_keys(branch, address)
        branch.set(GUARDIANS + address, Guardians(terms, ctx.height))
        branch.emit(_told(address, terms, ctx.time_ns))
        return Leg("set_guardians", 0, address)
    if before.pending is not None:
        _take_out(branch, before.pending_ns, CHANGE + address)
    if terms == before.terms:
        if before.pending is None:
            raise GuardiansUnchanged(account(address))
        branch.set(GUARDIANS + address, _without_change(before))
        branch.emit(_told(address, terms, ctx.time_ns))
        return Leg("set_guardians", 0, address)
    at = ctx.time_ns + before.terms.delay_s * NS_PER_S
    WAITING.push(branch, at, CHANGE + address)
    branch.set(
        GUARDIANS + address, before._replace(pending=terms, pending_ns=at, pending_height=ctx.height)
    )  # fmt: skip
    branch.emit(_told(address, terms, at))
    return Leg("set_guardians", 0, address)


def _require_lasting_keys(state: State, address: bytes) -> None:
    """Of a burner without an account nothing is on record once it ends. Raises: UnknownAccount."""
    found, identity = state.get(ACCOUNT + address), identity_of(state, address)
    if (found is None or found.policy is None) and (identity is None or identity.expiry_ns):
        raise UnknownAccount(f"{account(address)}, whose guardians they would be")


def _without_change(record: Guardians) -> Guardians:
    return record._replace(pending=None, pending_ns=0, pending_height=0)


def _told(address: bytes, terms: Terms, at_ns: int) -> Event:
    return Event.of(
        "set_guardians", address=account(address), guardians=",".join(map(account, terms.guardians)),
        threshold=str(terms.threshold), delay_s=str(terms.delay_s), overrule=str(terms.overrule),
        since=time_text(at_ns),
    )  # fmt: skip


def _is_due(record: Guardians, time_ns: int, height: int) -> bool:
    return record.pending is not None and record.pending_ns <= time_ns and _blocks_passed(record.pending_height, height)


def _blocks_passed(since: int, height: int) -> bool:
    return height >= since + BLOCKS_MIN


def _change(state: State, address: bytes, record: Guardians, time_ns: int, height: int) -> None:
    """What waited holds from now on. What those of before proposed among themselves is over."""
    terms = record.pending
    assert terms is not None, address.hex()
    _end_all(state, address, recoveries_of(state, address))
    stay = tuple([one for one in record.quiet if one.until_ns > time_ns and one.guardian in terms.guardians])
    state.set(GUARDIANS + address, Guardians(terms, height, quiet=stay) if terms.guardians else None)
    state.emit(Event.of("change_guardians", address=account(address), guardians=str(len(terms.guardians))))


# ------------------------------------------------------------------------------ recoveries


def start_recovery(ctx: Context, message: StartRecovery) -> Leg:
    """Raises: NoGuardians, NotGuardian, GuardianQuiet, RecoveryAgreed, PolicyUnchanged, KeysNotPossessed."""
    guardian, address, policy, possessions = message
    branch = ctx.branch
    record = _require_guardian(ctx, address, guardian)
    recoveries = recoveries_of(branch, address)
    if (agreed := _agreed(recoveries)) is not None:
        raise RecoveryAgreed(agreed.id.hex())
    if policy == recorded(branch, branch.get(ACCOUNT + address), address):
        raise PolicyUnchanged(account(address))
    require_possessed(ctx, address, policy, possessions)
    mine = [recovery for recovery in recoveries if recovery.starter == guardian]
    for recovery in mine:
        _take_out(branch, recovery.end_ns, _item(address, recovery))
    others = tuple([recovery for recovery in recoveries if recovery.starter != guardian])
    end_ns = ctx.time_ns + record.terms.delay_s * NS_PER_S
    made = Recovery(recovery_id(ctx.replay_id, len(ctx.legs)), guardian, policy, (), end_ns, 0)
    WAITING.push(branch, end_ns, _item(address, made))
    parsed = parse_policy(policy)
    told = {"needed": str(parsed.needed), "keys": str(len(parsed.keys)), "until": time_text(end_ns)}
    branch.emit(Event.of("start_recovery", **_said(address, guardian, made), **told))
    _approve(ctx, address, record, others, made, guardian)
    return Leg("start_recovery", 0, made.id)


def approve_recovery(ctx: Context, message: ApproveRecovery) -> Leg:
    """Raises: NoGuardians, NotGuardian, GuardianQuiet, NoSuchLeg, UnknownRecovery, AlreadyApproved, RecoveryLapsed."""
    guardian, address, key, leg = message
    record = _require_guardian(ctx, address, guardian)
    if leg:
        key = earlier_leg(ctx, leg, "start_recovery").subject
    recoveries = recoveries_of(ctx.branch, address)
    found = next((recovery for recovery in recoveries if recovery.id == key), None)
    if found is None:
        raise UnknownRecovery(key.hex())
    if guardian in _stand(ctx.branch, found):
        raise AlreadyApproved(key.hex())
    if not found.agreed_height and found.end_ns <= ctx.time_ns:
        raise RecoveryLapsed(f"it was {time_text(found.end_ns)}")
    others = tuple([recovery for recovery in recoveries if recovery is not found])
    _approve(ctx, address, record, others, found, guardian)
    return Leg("approve_recovery", 0, key)


def _require_guardian(ctx: Context, address: bytes, guardian: bytes) -> Guardians:
    """Raises: NoGuardians, NotGuardian, GuardianQuiet."""
    record = guardians_of(ctx.branch, address)
    if guardian not in record.terms.guardians:
        raise NotGuardian(account(guardian))
    until_ns = next((one.until_ns for one in record.quiet if one.guardian == guardian), 0)
    if ctx.time_ns < until_ns:
        raise GuardianQuiet(f"until {time_text(until_ns)}")
    return record


def _approve(
    ctx: Context, address: bytes, record: Guardians, others: tuple[Recovery, ...], recovery: Recovery, guardian: bytes
) -> None:
    """With the last that was needed the delay begins, and what others proposed is over."""
    branch, terms = ctx.branch, record.terms
    recovery = recovery.with_word(guardian, EPOCHS.of(branch, guardian))
    approve = len(_stand(branch, recovery))
    told = f"{approve}/{terms.threshold}"
    branch.emit(Event.of("approve_recovery", **_said(address, guardian, recovery), approvals=told))
    if recovery.agreed_height or approve < terms.threshold:
        _put(branch, address, (*others, recovery))
        return
    _take_out(branch, recovery.end_ns, _item(address, recovery))
    _end_all(branch, address, others)
    end_ns = ctx.time_ns + terms.delay_s * NS_PER_S
    recovery = recovery._replace(end_ns=end_ns, agreed_height=ctx.height)
    WAITING.push(branch, end_ns, _item(address, recovery))
    _put(branch, address, (recovery,))
    branch.emit(Event.of("agree_recovery", **_said(address, guardian, recovery), until=time_text(end_ns)))


def _said(address: bytes, guardian: bytes, recovery: Recovery) -> dict[str, str]:
    return {"address": account(address), "guardian": account(guardian), "recovery_id": recovery.id.hex()}


def object_recovery(ctx: Context, message: ObjectRecovery) -> Leg:
    """Ends all that is open. A change of guardians that it held back holds at once.

    Raises: NoGuardians, UnknownRecovery, Overruled.
    """
    branch, (address,) = ctx.branch, message
    record, recoveries = guardians_of(branch, address), recoveries_of(branch, address)
    if not recoveries:
        raise UnknownRecovery(f"none of {account(address)} is")
    terms = record.terms
    stand = _all_stand(branch, recoveries)
    most = max(map(len, stand))
    if terms.overrule and most >= terms.overrule:
        raise Overruled(f"{most} approved, {terms.overrule} overrule")
    _end_all(branch, address, recoveries)
    until_ns = ctx.time_ns + terms.delay_s * NS_PER_S
    heard = {guardian for approve in stand for guardian in approve}
    still = [one for one in record.quiet if one.until_ns > ctx.time_ns and one.guardian not in heard]
    quiet = tuple(sorted([*still, *[Quiet(guardian, until_ns) for guardian in sorted(heard)]]))
    record = record._replace(quiet=quiet)
    branch.set(GUARDIANS + address, record)
    branch.emit(Event.of("object_recovery", address=account(address), recoveries=str(len(recoveries))))
    _let_go(branch, address, record, ctx.time_ns, ctx.height)
    return Leg("object_recovery", 0, address)


def _let_go(state: State, address: bytes, record: Guardians, time_ns: int, height: int) -> None:
    """The change of guardians that a recovery held back, which is over."""
    if _is_due(record, time_ns, height):
        _take_out(state, record.pending_ns, CHANGE + address)
        _change(state, address, record, time_ns, height)
    elif record.pending is not None and record.pending_ns <= time_ns:  # its blocks have not passed
        later = time_ns + 1
        _take_out(state, record.pending_ns, CHANGE + address)
        state.set(GUARDIANS + address, record._replace(pending_ns=later))
        WAITING.push(state, later, CHANGE + address)


def handlers() -> dict[type[Any], Handler]:
    return {
        SetGuardians: set_guardians,
        StartRecovery: start_recovery,
        ApproveRecovery: approve_recovery,
        ObjectRecovery: object_recovery,
    }


# ------------------------------------------------------------------------------ blocks


def end_block(ctx: BlockContext) -> Iterator[None]:
    """What is due, oldest first: as many as a block can add."""
    if ctx.upgraded:  # other code may cure what broke
        for _, item, _ in FAILED.take_back(ctx.branch, ctx.scan):
            WAITING.put_back(ctx.branch, item)
    items_max = gas.most_of(gas.GAS_LATER, ctx.block_gas_max)
    yield from WAITING.work_off(
        ctx.branch, ctx.scan, Now(ctx.height, ctx.time_ns), FAILED, partial(_due, ctx), items_max=items_max
    )


def _due(ctx: BlockContext, item: bytes, branch: Branch) -> None:
    address, starter = item[1 : 1 + ADDRESS_BYTES], item[1 + ADDRESS_BYTES :]
    if item[:1] == CHANGE:
        _change_due(ctx, address, branch)
    else:
        _recovery_due(ctx, address, starter, branch)


def _change_due(ctx: BlockContext, address: bytes, branch: Branch) -> None:
    record = branch.get(GUARDIANS + address)
    if record is None or record.pending is None or record.pending_ns > ctx.time_ns:
        return  # a recovery of this block, before it in the queue, withdrew it
    if _agreed(recoveries_of(branch, address)) is not None:
        return  # held back: whatever ends the recovery sees to it
    if _is_due(record, ctx.time_ns, ctx.height):
        _change(branch, address, record, ctx.time_ns, ctx.height)
        return
    later = ctx.time_ns + 1
    branch.set(GUARDIANS + address, record._replace(pending_ns=later))
    WAITING.push(branch, later, CHANGE + address)


def _recovery_due(ctx: BlockContext, address: bytes, starter: bytes, branch: Branch) -> None:
    recoveries = recoveries_of(branch, address)
    found = next((recovery for recovery in recoveries if recovery.starter == starter), None)
    if found is None or found.end_ns > ctx.time_ns:
        return  # a change of this block, before it in the queue, ended it
    others = tuple([recovery for recovery in recoveries if recovery is not found])
    record = guardians_of(branch, address)
    if not found.agreed_height or len(_stand(branch, found)) < record.terms.threshold:
        _put(branch, address, others)
        branch.emit(Event.of("lapse_recovery", **_said(address, starter, found)))
        if found.agreed_height:
            _let_go(branch, address, record, ctx.time_ns, ctx.height)
        return
    if not _blocks_passed(found.agreed_height, ctx.height):
        later = ctx.time_ns + 1
        _put(branch, address, (found._replace(end_ns=later),))
        WAITING.push(branch, later, _item(address, found))
        return
    _carry_out(ctx, address, found, branch)


def _carry_out(ctx: BlockContext, address: bytes, found: Recovery, branch: Branch) -> None:
    """A change of guardians that waits is withdrawn with it: by whoever had the old keys it was made."""
    _put(branch, address, ())
    record = guardians_of(branch, address)
    if record.pending is not None:
        _take_out(branch, record.pending_ns, CHANGE + address)
    branch.set(GUARDIANS + address, _without_change(record)._replace(quiet=()))
    before = recorded(branch, branch.get(ACCOUNT + address), address)
    assert before is not None, "it had a policy on record when it named them, and no policy is ever forgotten"
    change(branch, address, before=before, after=found.policy)
    void_what_was_given(branch, address)
    ctx.doubted.update((ACCOUNT + address, IDENTITY + address))  # what waits by the old keys is checked again
    branch.emit(Event.of("recover_account", **_said(address, found.starter, found)))


# ------------------------------------------------------------------------------ invariants


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    records: dict[bytes, Guardians] = {key[len(GUARDIANS) :]: found for key, found in scan(GUARDIANS)}
    open_: dict[bytes, tuple[Recovery, ...]] = {key[len(RECOVERIES) :]: found.of for key, found in scan(RECOVERIES)}
    wrong = [address.hex() for address, record in records.items() if not _is_sound(address, record)]
    yield "guardians: bounded, in order, none of itself", not wrong, f"{len(records)} accounts, wrong: {some(wrong)}"
    strange = [address.hex() for address, found in open_.items() if not _counts(state, records.get(address), found)]
    yield "recoveries: words are guardians', each once", not strange, f"{len(open_)} accounts, wrong: {some(strange)}"
    must = {height_bytes(one.end_ns) + _item(address, one) for address, found in open_.items() for one in found}
    may: set[bytes] = set()
    now_ns = last_time_ns(state)  # 0: a chain without an economy keeps no time
    for address, record in records.items():
        if record.pending is not None:
            held = _agreed(open_.get(address, ())) is not None  # worked off in vain, once its time has come
            (may if held and not 0 < now_ns < record.pending_ns else must).add(
                height_bytes(record.pending_ns) + CHANGE + address
            )
    waits = {key[len(WAITING.prefix) :] for key, _ in scan(WAITING.prefix)}
    waits |= {key[len(FAILED.prefix) + len(WAITING.prefix) :] for key, _ in scan(FAILED.prefix)}
    amiss = [place.hex() for place in sorted((must - waits) | (waits - must - may))]
    yield "recoveries: each waits for its time", not amiss, f"{len(waits)} wait, amiss: {some(amiss)}"
    unknown = [address.hex() for address in records if recorded(state, state.get(ACCOUNT + address), address) is None]
    yield "guardians: of accounts that have keys", not unknown, some(unknown)
    yield FAILED.invariant("guardians", scan)
    yield WAITING.invariant("recoveries", state, scan)


def _is_sound(address: bytes, record: Guardians) -> bool:
    pending = [record.pending] if record.pending is not None and record.pending.guardians else []
    for guardians, threshold, _, overrule in (record.terms, *pending):
        is_sorted = list(guardians) == sorted(set(guardians))
        if not is_sorted or address in guardians or not 1 <= threshold <= len(guardians):
            return False
        if overrule and not threshold <= overrule <= len(guardians):
            return False
    return (record.pending is None) == (record.pending_ns == 0) and record.quiet == tuple(sorted(set(record.quiet)))


def _counts(state: Readable, record: Guardians | None, found: tuple[Recovery, ...]) -> bool:
    if record is None or not found or (_agreed(found) is not None and len(found) > 1):
        return False
    guardians, threshold, *_ = record.terms
    if len({recovery.starter for recovery in found}) != len(found):
        return False
    for recovery in found:
        words = recovery.approvals
        if words[:1] != (recovery.starter,) or len(set(words)) != len(words) or not set(words) <= set(guardians):
            return False
        enough = len(words if recovery.agreed_height else _stand(state, recovery)) >= threshold
        if bool(recovery.agreed_height) != enough:
            return False
    return True
