"""What happened, as subscribers are told it: each event's kind, its `type.key` values, and its JSON, made when somebody
wants it, once for all of them.

Those of a saved block are made of what is stored, so that they can be told again later; those of the running height are
told as they come and are kept nowhere.
Source: CometBFT v0.38, types/events.go, types/event_bus.go, state/execution.go (fireEvents).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from consensus.abci.interface import Slices
from consensus.core.core import Core
from consensus.core.events import Elapsed, Step, VoteKind
from consensus.documents.json import block_id_json, evidence_json, header_json, validator_json, vote_json
from consensus.engine.interfaces import RoundState
from consensus.formats.json_text import Json
from consensus.state.cursors import INDEX_MAX, Cursor
from consensus.types.block import Block
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.validators import Validator
from consensus.types.vote import Proposal, Vote
from crypto.keys import pub_key_from_proto
from dchat.doors.jsonrpc.form import (
    Many,
    base64_of,
    block_form,
    event_form,
    hex_of,
    param_updates_form,
    result_form,
    sparse_result_form,
    updates_form,
    written,
)

if TYPE_CHECKING:
    from proto.tendermint.abci import types_pb2 as abci_pb

KIND_KEY: Final = "tm.event"
NEW_BLOCK, NEW_HEADER, NEW_BLOCK_EVENTS = "NewBlock", "NewBlockHeader", "NewBlockEvents"
TX, NEW_EVIDENCE, SET_UPDATES = "Tx", "NewEvidence", "ValidatorSetUpdates"
KEPT: Final = (NEW_BLOCK, NEW_HEADER, NEW_BLOCK_EVENTS, NEW_EVIDENCE, TX, SET_UPDATES)
OF_ROUNDS: Final = (
    "CompleteProposal", "Lock", "NewRound", "NewRoundStep", "Polka", "Relock", "TimeoutPropose", "TimeoutWait",
    "Unlock", "ValidBlock", "Vote",
)  # fmt: skip
STEPS: Final = {
    1: "NewHeight", 2: "NewRound", 3: "Propose", 4: "Prevote", 5: "PrevoteWait", 6: "Precommit", 7: "PrecommitWait",
    8: "Commit",
}  # fmt: skip

# A block's own messages come behind its transactions' in the order of cursors; no block has so many events.
EVIDENCE_INDEX: Final = INDEX_MAX - 100_000
OWN_INDEX: Final = {SET_UPDATES: INDEX_MAX - 4, NEW_BLOCK_EVENTS: INDEX_MAX - 3, NEW_HEADER: INDEX_MAX - 2,
                    NEW_BLOCK: INDEX_MAX - 1}  # fmt: skip


@dataclass(slots=True)
class Happening:
    """One event. keys: what queries ask. cursor: None of what is kept nowhere. is_silent: a transaction without events,
    whose cursor is that of what is before it."""

    kind: str
    keys: dict[str, list[str]]
    type_name: str
    value: Callable[[], Json]
    cursor: Cursor | None = None
    is_silent: bool = False
    text: bytes = b""  # its part of a message, once it was made

    def made(self) -> Slices[bytes]:
        """Its part of a message: `"data":...,"events":...`."""
        if not self.text:
            data = {"type": f"tendermint/event/{self.type_name}", "value": self.value()}
            keys = {name: self.keys[name] for name in sorted(self.keys)}
            self.text = (yield from written({"data": data, "events": keys}))[1:-1]
        return self.text


def keys_of(events: Iterable[abci_pb.Event]) -> dict[str, list[str]]:
    """The values of each `type.key`, in their order."""
    found: dict[str, list[str]] = {}
    for event in events:
        if not event.type:
            continue
        for attribute in event.attributes:
            if attribute.key:
                found.setdefault(f"{event.type}.{attribute.key}", []).append(attribute.value)
    return found


@dataclass(frozen=True, slots=True)
class OfBlock:
    """What a saved block has to tell. stored: what it did."""

    block: Block
    block_id: BlockID
    stored: abci_pb.ResponseFinalizeBlock

    def told(self, wanted: Callable[[str], bool], *, by_cursor: bool = False) -> Iterator[Happening]:
        """Of the kinds that are wanted, in CometBFT's order; by_cursor: in that of their cursors."""
        own = (self._new_block, self._new_header, self._new_block_events)
        parts: list[Iterable[Happening]] = [*(make(wanted) for make in own), self._evidence(wanted)]
        parts += [self._txs(wanted), self._updates(wanted)]
        if by_cursor:
            parts = [parts[4], parts[3], parts[5], parts[2], parts[1], parts[0]]
        for part in parts:
            yield from part

    def _own(
        self, kind: str, type_name: str, value: Callable[[], Json], keys: dict[str, list[str]] | None = None
    ) -> Happening:
        told = {} if keys is None else keys
        told.setdefault(KIND_KEY, []).append(kind)
        return Happening(kind, told, type_name, value, Cursor(self.block.height, OWN_INDEX[kind]))

    def _new_block(self, wanted: Callable[[str], bool]) -> Iterator[Happening]:
        if wanted(NEW_BLOCK):
            yield self._own(NEW_BLOCK, NEW_BLOCK, self._block_value, keys_of(self.stored.events))

    def _block_value(self) -> Json:
        stored = self.stored
        result: dict[str, Json] = {}
        if stored.events:
            result["events"] = Many(map(event_form, stored.events))
        if stored.tx_results:
            result["tx_results"] = Many(map(result_form, stored.tx_results))
        result["validator_updates"] = updates_form(stored.validator_updates)
        if stored.HasField("consensus_param_updates"):
            result["consensus_param_updates"] = param_updates_form(stored)
        if stored.app_hash:
            result["app_hash"] = base64_of(stored.app_hash)
        return {
            "block": block_form(self.block),
            "block_id": block_id_json(self.block_id),
            "result_finalize_block": result,
        }

    def _new_header(self, wanted: Callable[[str], bool]) -> Iterator[Happening]:
        if wanted(NEW_HEADER):
            yield self._own(NEW_HEADER, NEW_HEADER, lambda: {"header": header_json(self.block.header)})

    def _new_block_events(self, wanted: Callable[[str], bool]) -> Iterator[Happening]:
        def value() -> Json:
            events = Many(map(event_form, self.stored.events)) if self.stored.events else None
            return {"height": str(self.block.height), "events": events, "num_txs": str(len(self.block.txs))}

        if wanted(NEW_BLOCK_EVENTS):
            yield self._own(NEW_BLOCK_EVENTS, NEW_BLOCK_EVENTS, value, keys_of(self.stored.events))

    def _evidence(self, wanted: Callable[[str], bool]) -> Iterator[Happening]:
        if not wanted(NEW_EVIDENCE):
            return
        height = self.block.height
        for number, evidence in enumerate(self.block.evidence):
            value = {"height": str(height), "evidence": evidence_json(evidence)}
            yield Happening(
                NEW_EVIDENCE, {KIND_KEY: [NEW_EVIDENCE]}, NEW_EVIDENCE, lambda value=value: value,  # type: ignore[misc]
                Cursor(height, EVIDENCE_INDEX + number),
            )  # fmt: skip

    def _txs(self, wanted: Callable[[str], bool]) -> Iterator[Happening]:
        if not wanted(TX):
            return
        height, start = self.block.height, 0
        hashes = self.block.data.tx_hashes
        for index, result in enumerate(self.stored.tx_results):
            count = len(result.events)
            start += count
            cursor = Cursor(height, start - 1) if start else Cursor.of_end(height - 1)
            keys = keys_of(result.events)
            keys.setdefault(KIND_KEY, []).append(TX)
            keys.setdefault("tx.hash", []).append(hex_of(hashes[index]))
            keys.setdefault("tx.height", []).append(str(height))
            yield Happening(
                TX, keys, TX, lambda index=index, result=result: self._tx_value(index, result),  # type: ignore[misc]
                cursor, is_silent=not count,
            )  # fmt: skip

    def _tx_value(self, index: int, result: abci_pb.ExecTxResult) -> Json:
        told: dict[str, Json] = {"height": str(self.block.height)}
        if index:
            told["index"] = index
        told["tx"] = base64.b64encode(self.block.txs[index]).decode()
        told["result"] = sparse_result_form(result)
        return {"TxResult": told}

    def _updates(self, wanted: Callable[[str], bool]) -> Iterator[Happening]:
        def value() -> Json:
            changed = [Validator(pub_key_from_proto(one.pub_key), one.power, 0) for one in updates]
            return {"validator_updates": [validator_json(one) for one in changed]}

        updates = self.stored.validator_updates
        if updates and wanted(SET_UPDATES):
            yield self._own(SET_UPDATES, SET_UPDATES, value)


# ------------------------------------------------------------------------------------------------- the running height


class RoundEvents:
    """Hears of the running height, and tells what CometBFT would tell of it; satisfies RoundListener.

    is_wanted: whether anybody asks for a kind. tell: one that is. Nothing is made of what nobody asks for.
    """

    def __init__(
        self,
        rounds: RoundState,
        core: Core,
        *,
        is_wanted: Callable[[str], bool],
        tell: Callable[[Happening], None],
    ) -> None:
        self._rounds, self._core, self._is_wanted, self._tell = rounds, core, is_wanted, tell
        self._seen = (0, -1)  # height and round of the last NewRound
        self._locked: tuple[int, int, object] = (0, -1, None)  # height, round and value of the last lock that was told
        self._complete = (0, -1)  # height and round of the last CompleteProposal

    def step_changed(self) -> None:
        rounds = self._rounds
        if rounds.step is not Step.NEW_ROUND:  # told as NewRound
            self._tell_round("NewRoundStep")
        place = rounds.height, rounds.round
        if rounds.step is not Step.NEW_HEIGHT and place != self._seen:
            self._seen = place
            self._tell_new_round()
        if rounds.wire_step == Step.PRECOMMIT:
            votes = rounds.votes(VoteKind.PREVOTE, rounds.round)
            if votes is not None and votes.has_majority:
                self._tell_round("Polka")
            self._tell_lock()

    def _tell_new_round(self) -> None:
        if not self._is_wanted("NewRound"):
            return
        rounds = self._rounds
        address = rounds.proposer_address
        index = rounds.validators.index_of(address) if address else None
        at = {"height": str(rounds.height), "round": rounds.round, "step": f"RoundStep{STEPS[Step.NEW_ROUND]}"}
        value = {**at, "proposer": {"address": hex_of(address), "index": 0 if index is None else index}}
        self._tell(Happening("NewRound", {KIND_KEY: ["NewRound"]}, "NewRound", lambda: value))

    def _tell_lock(self) -> None:
        core, height = self._core, self._rounds.height
        before = self._locked if self._locked[0] == height else (height, -1, None)
        now = height, core.locked_round, core.locked_value
        self._locked = now
        if now[1] == before[1]:
            return
        if core.locked_value is None:
            self._tell_round("Unlock")
        else:
            self._tell_round("Relock" if before[2] == core.locked_value else "Lock")

    def valid_block_set(self, block_id: BlockID, *, is_commit: bool) -> None:
        self._tell_round("ValidBlock")

    def vote_added(self, vote: Vote) -> None:
        if self._is_wanted("Vote"):
            self._tell(Happening("Vote", {KIND_KEY: ["Vote"]}, "Vote", lambda: {"Vote": vote_json(vote)}))

    def proposal_set(self, proposal: Proposal) -> None:
        self._tell_complete()

    def part_added(self, height: int, round: int, index: int) -> None:
        self._tell_complete()

    def part_set_opened(self, header: PartSetHeader, *, is_commit: bool) -> None:
        pass

    def timed_out(self, elapsed: Elapsed) -> None:
        rounds = self._rounds
        if (elapsed.height, elapsed.round, elapsed.step) != (rounds.height, rounds.round, rounds.step):
            return  # of a step that was left
        if elapsed.step is Step.PROPOSE:
            self._tell_round("TimeoutPropose")
        elif elapsed.step in (Step.PREVOTE, Step.PRECOMMIT):
            self._tell_round("TimeoutWait")

    def _tell_complete(self) -> None:
        if not self._is_wanted("CompleteProposal"):
            return
        rounds = self._rounds
        proposal, parts, place = rounds.proposal, rounds.parts, (rounds.height, rounds.round)
        if proposal is None or parts is None or not parts.is_complete or place == self._complete:
            return
        self._complete = place
        value = {**self._place(), "block_id": block_id_json(proposal.block_id)}
        kind = "CompleteProposal"
        self._tell(Happening(kind, {KIND_KEY: [kind]}, kind, lambda: value))

    def _place(self) -> dict[str, Json]:
        rounds = self._rounds
        return {"height": str(rounds.height), "round": rounds.round, "step": f"RoundStep{STEPS[rounds.wire_step]}"}

    def _tell_round(self, kind: str) -> None:
        if self._is_wanted(kind):
            value = self._place()
            self._tell(Happening(kind, {KIND_KEY: [kind]}, "RoundState", lambda: value))
