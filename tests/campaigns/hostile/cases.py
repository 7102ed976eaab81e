"""The cases: what is done to which node, and what it stands for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.campaigns.hostile.attacks.contents import KINDS

MB = 1_000_000
ALL = (1, 2, 3, 4)


@dataclass(frozen=True)
class Case:
    """attack: of `world.ATTACKS`. number: of the issue that it stands for, empty for what goes beyond it.

    targets: validators that are attacked. rate: bytes a second over all of them. processes: attackers.
    needs: `network`; `validator`: a network whose validator 4 is stopped, since the attacker speaks as it;
    `homes`: new homes alone. drops: the attacker must have been dropped at least once.
    log_bytes_max: what the attack may add to one node's log in a second, beside its blocks.
    """

    name: str
    group: str
    attack: str
    what: str
    number: str = ""
    args: dict[str, Any] = field(default_factory=dict)
    targets: tuple[int, ...] = (1,)
    rate: int = 5 * MB
    processes: int = 1
    needs: str = "network"
    drops: bool = False
    ready: bool = False  # /ready of the targets stays 200 under attack
    times: bool = False  # the blocks' times stay near the clock's
    hosts: bool = False  # from many addresses
    payments: bool = True  # honest payments keep their pace, too
    log_bytes_max: int = 60_000


def _peers() -> list[Case]:
    """What the issue tells of peers, 1 to 10."""

    def case(
        number: str, name: str, attack: str, what: str, *, args: dict[str, Any] | None = None, **more: Any
    ) -> Case:
        return Case(f"{number}-{name}", "listed", attack, what, number, args or {}, **more)

    def nonsense(kind: str, what: str, connections: int, name: str = "") -> Case:
        return case("7", name or kind, "nonsense", what, args={"kind": kind, "connections": connections}, targets=ALL)

    return [
        case("1", "listen-addr", "listen-addr", "worst texts as listen address, one connection to each", targets=ALL),
        case("1", "node-info-texts", "node-info-texts", "every other text at its largest", targets=ALL),
        case("7a", "fresh-homes", "", "new homes whose peers can't be reached are held", needs="homes"),
        nonsense("mixed", "parts of no block, votes of nobody, twice", 2, "nonsense-2"),
        nonsense("mixed", "ten connections of them", 10, "nonsense-10"),
        nonsense("parts", "parts of no block", 4),
        nonsense("large-parts", "parts of no block, of 64 KiB", 4),
        nonsense("strangers", "votes of unknown validators", 4),
        nonsense("validators", "votes that validators did not sign", 4, "false-votes"),
        nonsense("proposals", "proposals that no proposer signed", 4),
        case("8", "unfinished", "unfinished", "unfinished messages up to the limits", args={"connections": 10},
             rate=20 * MB),
        case("8", "unfinished-small", "unfinished-small", "in packets of sixteen bytes", args={"connections": 4},
             rate=10 * MB),
        case("8", "one-byte-packets", "one-byte-packets", "the same in packets of one byte"),
        case("9", "unjudgeable", "unjudgeable-evidence", "evidence of heights that nobody has", args={"ahead": 1_000}),
        case("9", "fat", "fat-evidence", "a megabyte of light blocks behind an item that nobody can judge"),
        case("9", "next-height", "unjudgeable-evidence", "evidence of the next heights", args={"ahead": 0}),
        case("9", "lists", "evidence-lists", "evidence, sixty-four pieces a message"),
        case("10", "pings", "pings", "pings at 5 MB/s"),
        case("10", "pongs", "pongs", "pongs that answer nothing"),
        case("10", "empty-packets", "empty-packets", "empty packets at 5 MB/s"),
        case("10", "has-vote", "has-vote", "HasVote at 5 MB/s"),
    ]  # fmt: skip


def _shares() -> list[Case]:
    """What the issue tells of shares, doors and addresses, 11 to 14."""

    def case(number: str, name: str, attack: str, what: str, connections: int = 1, **more: Any) -> Case:
        args = {"connections": connections, **more.pop("args", {})}
        return Case(f"{number}-{name}", "listed", attack, what, number, args, **more)

    return [
        case("11", "junk", "junk-txs", "bytes that are no transaction", 2),
        case("11", "bad-signatures", "bad-signatures", "transactions whose signature is wrong, 5 MB/s", 2),
        case("11", "no-money", "no-money", "transactions of accounts that have nothing", 2),
        case("11", "announced", "announced-hashes", "5,000 and more invented announced hashes", 2),
        case("12", "handshakes", "handshakes", "handshakes without a pause, of one host", 4),
        case("12", "many-hosts", "handshakes", "handshakes without a pause, of two hundred hosts", 4, hosts=True),
        case("12", "claimed-height", "claimed-height", "peers at 2^62: /ready stays 200", 2, targets=ALL, ready=True),
        case("12", "address-book", "address-book", "thousands of invented addresses", 4),
        case("13", "idle-http", "idle-http", "2,000 idle connections to HTTP", 2_000),
        case("13", "idle-metrics", "idle-metrics", "2,000 to the metrics port", 2_000),
        case("13", "idle-grpc", "idle-grpc", "2,000 to gRPC", 2_000),
        case("13", "half-header", "half-header", "200 headers at a byte a second", 200),
        case("13", "half-body", "half-body", "200 bodies at a byte a second", 200),
        case("13", "unfinished-grpc", "unfinished-grpc", "100 unfinished requests on one connection",
             args={"streams": 100}, rate=40 * MB),
        case("13", "large-broadcasts", "large-broadcasts", "64 requests of 16 MiB at once", 64, rate=40 * MB),
        case("13", "event-streams", "event-streams", "200 streams of events that match nothing", args={"streams": 200}),
        case("13", "invariants", "invariants", "GetInvariants given up and asked again", 6),
        case("14", "block-requests", "block-requests", "requests for blocks of a reader who does not read", 4),
        case("14", "wrong-places", "wrong-places", "honest ids announced at wrong places", 2, targets=ALL),
    ]  # fmt: skip


def _channels() -> list[Case]:
    def case(kind: str) -> Case:
        args = {"kind": kind, "connections": 3}
        return Case(f"contents-{kind}", "contents", "contents", f"every channel: {kind}", args=args, targets=(1, 2))

    return [case(kind) for kind in KINDS]


def _connections() -> list[Case]:
    def case(name: str, what: str, connections: int, attack: str = "", **more: Any) -> Case:
        return Case(name, "connections", attack or name, what, args={"connections": connections}, **more)

    return [
        case("half-open", "60 handshakes that stop at each step", 60),
        case("half-open-hosts", "120 from many hosts", 120, "half-open", hosts=True),
        case("slow-sender", "a byte a second", 30),
        case("slow-reader", "peers who read nothing", 10),
        case("thousands", "3,000 connections that say nothing", 3_000),
        case("thousands-hosts", "the same from many hosts", 3_000, "thousands", hosts=True),
        case("many-ids", "one host, two hundred identities", 200),
        case("many-ids-hosts", "two hundred of as many hosts", 200, "many-ids", hosts=True),
        case("lengths", "lengths that promise terabytes", 1, "delimited-lengths", drops=True),
    ]


def _floods() -> list[Case]:
    def case(name: str, attack: str, what: str, connections: int = 2, **args: Any) -> Case:
        return Case(f"flood-{name}", "floods", attack, what, args={"connections": connections, **args})

    return [
        case("claims", "nonsense", "majorities for blocks that are none", kind="claims"),
        case("steps", "nonsense", "steps back and forth", kind="steps"),
        case("bits", "nonsense", "the longest bit arrays", kind="bits"),
        case("bitmaps", "nonsense", "the longest bitmaps on our own channel", kind="bitmaps"),
        case("wanted", "wanted-hashes", "asked for transactions that nobody has"),
        case("tiny-txs", "tiny-txs", "as many empty transactions as a message may hold"),
        case("http", "http-flood", "the costliest pages without a pause", 4),
        case("block-lists", "block-lists", "ListBlocks without a pause", 8),
        case("commit-waits", "commit-waits", "waits for commits that never come", 50),
    ]


def _validator() -> list[Case]:
    def case(name: str, attack: str, what: str, number: str = "", **more: Any) -> Case:
        return Case(name, "validator", attack, what, number, targets=(1, 2, 3), needs="validator", **more)

    end = "9999-12-31T23:59:59"
    return [
        case(
            "2-end-of-time",
            "proposed-time",
            "a block dated at the end of the format",
            "2",
            args={"time": f"{end}.999999999Z"},
            times=True,
        ),
        case("2-near-the-end", "proposed-time", "one just before it", "2", args={"time": f"{end}.9Z"}, times=True),
        case(
            "2-next-century",
            "proposed-time",
            "one a century ahead",
            "2",
            args={"time": "2126-01-01T00:00:00Z"},
            times=True,
        ),
        case("3-one-header", "two-blocks-one-header", "two block ids with one part-set header", "3"),
        case("two-proposals", "two-proposals", "another good block to each"),
        case("two-sets", "two-sets", "another set of 152 parts to each, whole to one"),
        case("half-a-block", "half-a-block", "the last part never comes"),
        case("junk-block", "junk-block", "parts of bytes that are no block"),
        case("fat-block", "fat-block", "parts of a million empty things", args={"bytes": 4 * MB}, rate=15 * MB),
        case("odd-headers", "odd-headers", "one field of the header wrong", times=True),
        case("7-conflicts", "vote-flood", "conflicting votes at 5 MB/s", "7", args={}),
        case("same-header-votes", "same-header-votes", "votes for ever other hashes with one part-set header"),
        case("nil-votes", "nil-votes", "nil votes dated anywhere", times=True),
        case("odd-times", "odd-times", "votes for the committed block dated anywhere", times=True),
        case("future-rounds", "future-rounds", "votes of rounds far ahead"),
        case("proposal-flood", "proposal-flood", "signed proposals at 5 MB/s"),
        case("part-flood", "part-flood", "a proposal's parts again and again"),
        case("evidence-flood", "evidence-flood", "true evidence with every unsigned field varied"),
        case("14-old-key", "old-evidence", "10,000 pieces of evidence by one old key", "14"),
        case("pol-claims", "pol-claims", "bitmaps and steps between equivocations"),
    ]


CASES: tuple[Case, ...] = (*_peers(), *_shares(), *_floods(), *_channels(), *_connections(), *_validator())
BY_NAME = {case.name: case for case in CASES}
assert len(BY_NAME) == len(CASES)


def chosen(words: list[str]) -> list[Case]:
    """Cases by name, group or number of the issue; all when there are no words. Raises KeyError."""
    if not words:
        return list(CASES)
    found = []
    for word in words:
        some = [case for case in CASES if word in (case.name, case.group, case.number)]
        if not some:
            raise KeyError(word)
        found += [case for case in some if case not in found]
    return found
