"""What went wrong in systems like ours, and which test shows that it does not go wrong here.

`python -m tests.known_failures` writes docs/known-failures.md. A test names a row in its docstring, or in the string of
a table: an advisory by its id (`ASA-2025-002`), an operators' complaint by its number (`failure 8`), a report that was
tried here by its place (`tendermint#2294`), what an audit of this code found by its number (`audit 7`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "known-failures.md"


@dataclass(frozen=True)
class Row:
    """One thing that went wrong elsewhere. later: what of ours will be able to have it; tests come with that."""

    name: str
    cause: str
    later: str = ""

    @property
    def pattern(self) -> re.Pattern[str]:
        if self.name.startswith("audit "):  # also `audit 7 and 8`, `audit 7, 10`
            number = self.name.removeprefix("audit ")
            return re.compile(rf"\baudit (?:\d+a?(?:, | and |, and ))*{number}\b", re.IGNORECASE)
        if self.name.isdigit():
            return re.compile(rf"\b(?:failures?|rows?) (?:\d+(?:, | and ))*{self.name}\b", re.IGNORECASE)
        series, dash, number = self.name.rpartition("-")
        if dash and series.count("-") + series.count(" ") and number.isdigit():
            return re.compile(rf"{re.escape(series)}-(?:\d+, -)*{number}\b")  # also `SDK 2024-012, -013`
        return re.compile(rf"{re.escape(self.name)}\b")


ADVISORIES = (
    Row("CSA-2026-001", "commit signatures verified one way, block time derived another"),
    Row("ASA-2025-003", "a bit array whose number of bits is not that of its elements"),
    Row("ASA-2025-002", "a part's index is not its proof's"),
    Row("ASA-2025-001", "a peer lowers its height or inflates its base, and block sync stands"),
    Row("ASA-2024-011", "a validator index out of range"),
    Row("ASA-2024-009", "state sync trusts the proposer priorities that it is given"),
    Row("ASA-2024-008", "block sync panics, or is held up by a peer"),
    Row("ASA-2024-004", "defaults of the age of evidence"),
    Row("ASA-2023-002", "defaults of the size of a block"),
    Row("ASA-2024-001", "the height from which votes carry extensions changes"),
    Row("CVE-2021-21271", "the time of evidence differs by node"),
    Row("CVE-2020-15091", "a proposer adds signatures of another block"),
    Row("CVE-2020-5303", "unlimited inbound connections; peers' ids leak"),
    Row("c#5613", "the hash of priorities collides"),
    Row("SDK 2024-002", "a proposer's mempool makes blocks that others refuse"),
    Row("SDK 2024-003", "funds frozen at an account of the chain's own; Barberry: bad vesting periods (we have none)"),
    Row("SDK 2024-005", "redelegation dodges the slash"),
    Row("SDK 2024-006", "voting power taken from the proposer's data"),
    Row("SDK 2024-010", "widths of integers differ, and conversion panics"),
    Row("SDK 2024-012", "deep nesting overflows the stack"),
    Row("SDK 2024-013", "deep nesting costs CPU"),
    Row("SDK 2025-003", "division by zero stops the chain"),
    Row("ISA-2025-002", "an error at the end of a block stops the chain"),
    Row("ISA-2025-005", "an overflow of rewards stops the chain"),
    Row("GHSA-qfc5-6r3j-jj22", "a broken invariant does not stop the node"),
    Row("SDK 0.42", "a wrong prefix: double signers were never jailed"),
    Row("IBC 2024-007", "a time-out runs again before its commitment is deleted"),
    Row("IBC 2025-004", "JSON is decoded differently by different nodes"),
    Row("Dragonberry", "a forged proof of absence"),
    Row("Elderflower", "authority is bypassed by wrapping a message"),
)

COMPLAINTS = (
    Row("1", "the same part or vote is received many times"),
    Row("2", "the mempool floods the network"),
    Row("3", "a log torn by a plain restart; replay that stands"),
    Row("4", "pruned disk is not freed"),
    Row("5", "the state tree is slow and grows"),
    Row("6", "state sync hangs; bad or unfinished snapshots"),
    Row("7", "an app hash that differs stays a riddle"),
    Row("8", "the sign state is lost, or older than the key"),
    Row("9", "instructions for a restart led to a double signature"),
    Row("10", "signing while decided blocks come in"),
    Row("11", "a remote signer never reconnects"),
    Row("12", "subscribers are dropped, events are lost"),
    Row("13", "a query stops the node"),
    Row("14", "a lying peer stalls block sync"),
    Row("15", "block sync verifies signatures three times"),
    Row("16", "upgrades: missing binary, halt overshot, mixed builds"),
    Row("17", "what was rolled back does not execute again"),
    Row("18", "a genesis eats memory and hours", "large genesis documents"),
    Row("19", "consensus dies and the node looks alive"),
    Row("20", "evidence panics after a sync"),
    Row("21", "the index loses transactions in a crash"),
    Row("22", "account sequence mismatch"),
    Row("23", "peers vanish and are not dialled again"),
    Row("24", "offline proposers cost growing time-outs"),
    Row("25", "non-determinism: maps, clocks"),
    Row("26", "nil votes without an explanation"),
    Row("27", "a node wedged on the state of its disk"),
    Row("28", "why was my vote missed", "the report of missed votes"),
    Row("29", "a store that is unreliable, messages dropped", "relays"),
    Row("30", "resolving conflicting states stands still"),
    Row("31", "one application's bad vote extension stalls all"),
    Row("32", "orphaned sequences and decode blow-up in the mempool"),
    Row("33", "a node slows as history grows"),
    Row("34", "a port in use shows as a traceback, or not at all"),
    Row("35", "a refusal names a rule, and neither what is wrong nor what to do"),
    Row("36", "help lists commands that are not there"),
    Row("37", "Ctrl-C twice leaves half of the processes behind"),
)

# Shown on this code by trying to stop it from outside; the numbers are those that tests name (`audit 7`).
AUDIT = (
    Row("audit 1", "a text of a peer freezes the process: a host pattern that backtracks"),
    Row("audit 2", "a proposed block's time ends every honest node, or moves the median"),
    Row("audit 3", "two block ids with one part-set header leave a node waiting for ever"),
    Row("audit 4", "a slow clock calls a block invalid that the others decide"),
    Row("audit 5", "work on a losing proposal meets the state after the decision"),
    Row("audit 6", "a task ends without a line, or a listener ends consensus"),
    Row("audit 7", "all peers share one inbox; equivocations fill the log and rotate a lock away"),
    Row("audit 7a", "a node that waits for its peers dies of its own timer"),
    Row("audit 8", "unfinished messages take gigabytes"),
    Row("audit 9", "evidence that nobody can judge is remembered and logged"),
    Row("audit 10", "empty packets, pings and HasVote hold the loop"),
    Row("audit 11", "one peer's junk transactions or invented hashes keep honest ones out"),
    Row(
        "audit 12",
        "handshakes without a global rate; one socket fills the book; an invented height withholds readiness",
    ),
    Row("audit 13", "clients of the doors take the file handles, the memory, the loop"),
    Row(
        "audit 14",
        "blocks served on the loop, junk evidence of an old key, votes without stake, ids told at wrong places",
    ),
    Row("audit 15", "a number past 64 bits runs on and is read back as another"),
    Row("audit 16", "state that is bought once and spams for ever"),
    Row("audit 17", "state made faster than it is pruned; params that stop the chain"),
    Row("audit 18", "keys not proved, binaries swapped after the check, headers of any age, any Host"),
    Row(
        "audit 19",
        "neighbours of what others reported (the table above): a door that lies makes a client sign twice, say",
    ),
    Row("audit 20", "records read without their lock, blocks decoded on the loop, control characters on the terminal"),
    Row(
        "audit 21", "a block's bytes become a hundred times their worth of objects before anything bounds their number"
    ),
    Row("audit 22", "a proposer signs another block for each node, and honest ones ban each other over the parts"),
    Row("audit 23", "a record that whoever leaves and joins lengthens, until no block can be executed"),
    Row("audit 24", "one block that has to do what anybody made, cheaply, over many"),
    Row("audit 25", "what is remembered is bounded by number, and one of it can be as large as its sender likes"),
    Row("audit 26", "a block that was decided as a set of parts into which nobody can cut its bytes again"),
    Row("audit 27", "a proposal that is all here gets nil, since it takes long to read"),
    Row("audit 28", "a path in a tree of another size shows a transaction at a place where it is not"),
    Row("audit 29", "a transaction that names what it touches twice ends every validator's consensus at its commit"),
    Row(
        "audit 30", "what gave way to a dearer one comes back after a crash, or leaves a hole before its sender's next"
    ),
    Row("audit 31", "a trickle of replacements keeps everybody waiting for his durable promise"),
    Row("audit 34", "a node has a transaction made dearer that the same key once signed for another chain"),
    Row("audit 35", "what a thief let others do in an account's name outlives its recovery by guardians"),
    Row("audit 44", "who pays for newcomers is refused, since what waits of him is counted again with each block"),
    Row("audit 47", "who is blocked writes on in copies of keys, and changes the key so that the other cannot write"),
    Row("audit 46", "who was signed with is left with a gap when the other's earlier one gives way in a full pool"),
    Row("audit 45", "what a thief attested, decided or approved in an account's name counts after its recovery"),
    Row("audit 38", "what an identity signed, was invited to, or joined holds for the next one of its address"),
    Row("audit 37", "a stranger names a channel and holds back what waits for its allowance"),
    Row("audit 39", "names that are hoarded keep a score for ever, against what is proven of scores"),
    Row("audit 40", "a moderator takes several shares of one reporter in a day"),
    Row("audit 48", "a proof pack, or a draft, tells units, requests and a release of all as other sums of DCHAT"),
    Row("audit 43", "what was durably promised is gone when the mempool lets go of all that waits"),
    Row("audit 49", "a loss of power while a database is made reads as a disk that lied, and the node stays away"),
    Row("audit 50", "a loss of power where LevelDB begins another log takes what is older and leaves what is newer"),
    Row(
        "audit 51",
        "a loss of power while a restore replaces databases leaves a home without some, or none: it begins anew",
    ),
    Row("audit 52", "a loss of power at a start makes a torn end that the last process left read as a disk that lied"),
    Row("audit 53", "a backup by somebody else raises the record of signing so far that the key signs never again"),
    Row("audit 54", "a restore replaces the databases of a node that runs, by another name of their folder"),
    Row(
        "audit 55", "a backup by a passphrase is refused where the machine is slower, or busier, than when it was made"
    ),
    Row("audit 56", "one witness with an infinite number in its answer ends a light client, and a state sync"),
    Row("audit 57", "a server of SQL answers without end, and takes all the memory of a validator's machine"),
    Row("audit 58", "a loss of power between two unsynced writes, as of a join, reads as a disk that lied"),
    Row("audit 59", "what comes over a WebSocket, in a form or in a batch is free, or holds the loop, or opens files"),
    Row("audit 60", "a web page of anybody opens a WebSocket of a node on this machine, and reads it"),
    Row("audit 61", "subscriptions of one host take all places, each event's time, and gigabytes, by many connections"),
    Row("audit 62", "a search of a thousand conditions counts as one of a single one, and holds the loop"),
    Row("audit 63", "a stranger's question to an application elsewhere holds the engine until that answers"),
    Row("audit 64", "of two engines of one served application one commits the other's block"),
    Row("audit 65", "an engine that does not read is answered without end, in memory"),
    Row("audit 66", "connections of engines that are gone without a word keep all places of a served application"),
    Row("audit 67", "a served application executes the blocks of another chain"),
    Row("audit 68", "an application elsewhere that hangs over a vote's extension leaves a node that no signal stops"),
    Row("audit 69", "an application's app hash of megabytes: no proposal fits any more, and nothing says so"),
    Row("audit 70", "a web page of anybody sends transactions through a node on this machine"),
    Row("audit 71", "behind a reverse proxy one client keeps all others out"),
    Row("audit 72", "an offered snapshot empties an application that has blocks"),
    Row("audit 73", "a signer that is given a running node's key and record by their names signs beside it"),
    Row(
        "audit 74",
        "a record of signing that is a link is replaced, and what it led to stays old for who comes by it",
    ),
    Row("audit 75", "in a cluster no first start comes to be without an empty record of signing written by hand"),
    Row("audit 76", "a start in a cluster writes the secret's old consensus key over the one that came after it"),
    Row(
        "audit 77",
        "a record of signing written by hand, as a page says, lets a later round of the height be signed twice",
    ),
    Row("audit 78", "a browser's questions before it asks are answered without end where an origin is allowed"),
    Row("audit 79", "a wrong option is started again and again under systemd"),
    Row("audit 80", "behind nginx one in thirty addresses of an IPv6 network is a client of its own"),
    Row("audit 81", "a renewed TLS key under a passphrase holds a validator at a terminal until somebody types"),
    Row("audit 82", "a disk that is full twice ends the audit log, and with it all administration, for good"),
    Row(
        "audit 83",
        "of many nodes that are looked at one ends the command, or holds it for half an hour, by its answers",
    ),
    Row("audit 84", "a Prometheus with its usual interval of a minute never tells that a validator is down"),
    Row("audit 85", "a validator ends the signer by a height near the end of numbers, or fills its disk with refusals"),
    Row(
        "audit 86",
        "a genesis is another than the one that was vouched for: it changed meanwhile, or a name spoke for us",
    ),
    Row("audit 87", "a long line of the log holds the loop: what looks for passwords in it takes by the square of it"),
    Row("audit 88", "who asks what is kept of him is told the first hundred rows of each list, as if they were all"),
)

# Public reports of other systems that were tried here, and happened here too.
TRIED = (
    Row("celestia-core#2497", "what is refused for its order is never offered again"),
    Row("tendermint#7723", "what found full pools is never offered again"),
    Row("cometbft#623", "a sender of bad signatures keeps everybody out"),
    Row("sei-chain#3892", "one transaction as large as a block starves all payments"),
    Row("irishub#922", "reserved gas has another price in another lane"),
    Row("tendermint#4675", "copies of one offence, by fields that nobody signed, fill pool and blocks"),
    Row("cometbft#5984", "building a proposal fails under a legal param"),
    Row("cosmos-sdk#3205", "one offence is punished again and again"),
    Row("tendermint#2294", "a genesis time ahead of the clock makes validators stand still for good"),
    Row("tendermint#3572", "an honest node that was away is banned"),
    Row("mintlayer-core#1314", "requests of a slow reader are served ahead of its reading"),
    Row("celestia-app#5526", "a raised minimum commission freezes validators below it"),
    Row("namada#106", "somebody else registers a validator's consensus key"),
    Row("lighthouse#2069", "two processes sign with one key and nobody notices"),
    Row("cosmos-omnibus#104", "a check passes what no start accepts"),
    Row("cosmos-sdk#11952", "a file that can't be written at the upgrade's height changes the exit code"),
    Row("grpc#39803", "messages are taken in before they are bounded"),
)


# What a string must have to name a row at all.
NAMES = re.compile(r"failure|\brow|[ACI]SA-|CVE-|GHSA-|SDK |IBC |c#|Dragonberry|Elderflower|audit|#\d", re.IGNORECASE)


def strings(node: ast.AST) -> str:
    """The string constants below `node` that could name a row: docstrings, ids of tables."""
    texts = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str))
    return "\n".join(text for text in texts if NAMES.search(text))


def places(path: Path) -> Iterator[tuple[str, str]]:
    """(where, its text) for each test of a file; what stands beside the tests belongs to the file."""
    name = path.relative_to(ROOT).as_posix()
    for node in ast.parse(path.read_text()).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        for part in inner:
            is_test = isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
            yield f"{name}::{part.name}" if is_test else name, strings(part)  # type: ignore[union-attr]


@cache
def all_places() -> tuple[tuple[str, str], ...]:
    files = sorted(path for path in (ROOT / "tests").rglob("test_*.py") if path.stem != "test_repository")
    return tuple(place for path in files for place in places(path))


def tests_of(row: Row) -> list[str]:
    """Where the row is named, in order, each once."""
    return list(dict.fromkeys(where for where, text in all_places() if row.pattern.search(text)))


def render() -> str:
    """The page."""
    lines = [
        "# Known failures of systems like ours",
        "",
        "Each row happened elsewhere, or here; each is a test of ours, or comes with what could have it. Written by",
        "`python -m tests.known_failures` from the tests that name the rows; a test says when it is stale. How rows",
        "of the last two tables failed before they were mended: [before and after](before-and-after.md). All paths",
        "are below `tests/`.",
    ]
    for title, head, rows in (
        ("Security advisories", "advisory", ADVISORIES),
        ("What operators and users complain about", "failure", COMPLAINTS),
        ("Reports of other systems that happened here too", "report", TRIED),
        ("What an audit stopped this code with", "attack", AUDIT),
    ):
        lines += ["", f"## {title}", ""]
        if rows is AUDIT:
            lines += [
                "Number 19 is the table above, of what others reported and was tried here, with its neighbours.",
                "",
            ]
        lines += [f"| {head} | what went wrong | tests |", "|---|---|---|"]
        for row in rows:
            found = "<br>".join(f"`{where.removeprefix('tests/')}`" for where in tests_of(row))
            lines.append(f"| {row.name} | {row.cause} | {found or f'comes with {row.later}'} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render())
