"""What CONTRIBUTING.md says about adding things, carried out in a copy of the tree: `tests/test_contributing.py`.

Each example is small and whole: what is written, after which line, and a test that shows that it works. It reads as a
template, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".cache", ".hypothesis", "*.pyc.*", ".*_cache", "*.egg-info", "dist", "build", "target"
)
TYPES_CACHE = ".mypy_cache"  # its paths are relative, so it holds in the copy: what is the same is not checked again


ROW = '    _row("identities/{address}/devices", DEVICES),\n'


@dataclass(frozen=True)
class Put:
    """Writes `text` after, before or instead of the first place where another text stands."""

    file: str
    text: str
    after: str = ""
    before: str = ""
    instead_of: str = ""

    def carry_out(self, root: Path) -> None:
        path = root / self.file
        content, anchor = path.read_text(), self.after or self.before or self.instead_of
        assert anchor in content, f"{self.file} has no {anchor!r} any more: mend the example and CONTRIBUTING.md"
        kept = "" if self.instead_of else anchor
        path.write_text(content.replace(anchor, self.text + kept if self.before else kept + self.text, 1))


@dataclass(frozen=True)
class Example:
    """steps, then commands in the copy, then pytest of `test`, a file's text, and of `shows`: all of it must pass."""

    steps: tuple[Put, ...]
    test: str
    shows: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Copy:
    """The tree in another folder."""

    root: Path

    @staticmethod
    def make(folder: Path) -> Copy:
        """With what Python has compiled: each file's time and size say whether that is still of it."""
        shutil.copytree(ROOT, folder, ignore=LEFT_OUT, symlinks=True)
        return Copy(folder)

    def check_types(self) -> None:
        """`mypy`, which begins with what is known of the tree where it was checked. Raises AssertionError."""
        if (ROOT / TYPES_CACHE).is_dir():
            shutil.copytree(ROOT / TYPES_CACHE, self.root / TYPES_CACHE)
        self.run(sys.executable, "-m", "mypy")

    def contents(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and ".pytest_cache" not in path.parts
        }

    def run(self, *command: str) -> str:
        """Raises AssertionError with what it printed."""
        environment = {**os.environ, "PYTHONPATH": str(self.root), "PYTHON": sys.executable}
        environment.pop("PYTEST_XDIST_WORKER", None)
        done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-6_000:]}\n{done.stderr[-6_000:]}"
        return done.stdout

    def carry_out(self, example: Example) -> list[str]:
        """Returns the files that differ now."""
        before = self.contents()
        for step in example.steps:
            step.carry_out(self.root)
        for command in example.commands:
            self.run(*command)
        after = self.contents()
        return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


PROTO = ("./scripts/proto",)
IMPORTED = "from chain.tx.messages.chat.identities import SetStatus\n"
PAGES = (sys.executable, "-m", "dchat.config.pages")
METRICS_PAGE = (sys.executable, "-m", "dchat.doors.metrics.page")

MESSAGE = Example(
    steps=(
        Put("proto/dchat/v1/tx.proto", "    SetStatus set_status = 19;\n", after="PostMessage post_message = 18;\n"),
        Put(
            "proto/dchat/v1/tx.proto",
            """// A line that an identity shows; the last one counts.
message SetStatus {
  bytes address = 1 [(shown) = ACCOUNT];
  string text = 2;  // up to 256 bytes of UTF-8
}

// Chat store.
message Status {
  string text = 1;
  uint64 height = 2;  // since when
}

""",
            before="// Creates the chat identity of an account",
        ),
        Put(
            "chain/tx/messages/chat/identities.py",
            """class SetStatus(NamedTuple):
    address: bytes
    text: str


""",
            before="IdentityMessage: TypeAlias",
        ),
        Put(
            "chain/tx/messages/chat/identities.py", " | SetStatus", after="SetProfile | BlockIdentity | UnblockIdentity"
        ),
        Put(
            "chain/tx/messages/chat/identities.py",
            """def set_status(m: tx_pb2.SetStatus) -> SetStatus:
    check_address("set_status.address", m.address)
    check_text("set_status.text", m.text, LINK_BYTES_MAX)
    return SetStatus(m.address, m.text)


""",
            before="KINDS: Final = (",
        ),
        Put(
            "chain/tx/messages/chat/identities.py",
            '    Kind("set_status", set_status, SetStatus, CHAT, gas.GAS_MESSAGE + gas.GAS_STAYS),\n',
            before='    Kind("block_identity", block_identity',
        ),
        Put(
            "chain/tx/messages/chat/identities.py",
            "from proto.dchat.v1 import tx_pb2\n",
            after="from proto.dchat.v1 import identities_pb2 as ids\n",
        ),
        Put(
            "chain/chat/machine.py",
            '''class Status(NamedTuple):
    """What an identity says of itself."""

    text: str
    height: int

    def encode(self) -> bytes:
        return bytes_field(b"\\x0a", self.text.encode()) + uint_field(b"\\x10", self.height)

    @staticmethod
    def decode(stored: bytes) -> Status:
        record = tx_pb2.Status.FromString(stored)
        return Status(record.text, record.height)


STATUS: Final = Key.of(b"cZ", Status)  # ‖ address
STATUSES: Final = RecordKind(STATUS, tx_pb2.Status, "the status")

''',
            before="MARKS: Final = ReplayMarks(",
        ),
        Put("chain/chat/machine.py", "STATUS, ", after="decoders_of(IDENTITY, "),
        Put(
            "chain/chat/machine.py",
            """def set_status(ctx: Context, message: SetStatus) -> Leg:
    require_identity(ctx.branch, message.address)
    ctx.branch.set(STATUS + message.address, Status(message.text, ctx.height))
    ctx.branch.emit(Event.of("set_status", address=account(message.address)))
    return Leg("set_status")


""",
            before="def register(\n    ctx: Context",
        ),
        Put("chain/chat/machine.py", "SetStatus: set_status, ", after="return {"),
        Put("chain/chat/machine.py", IMPORTED, before="from chain.tx.envelope.tx import Tx\n"),
        Put(
            "chain/chat/machine.py",
            "from chain.tx.codec import bytes_field, uint_field\n",
            before="from chain.tx.envelope.tx import Tx\n",
        ),
        Put("chain/chat/machine.py", ", Leg", after="from chain.kernel.context import Context, Handler"),
        Put("chain/chat/machine.py", ", NamedTuple", after="from typing import Any, Final"),
        Put("chain/chat/machine.py", "Key, RecordKind, ", after="from chain.kernel.branch import SIDE_CHAT, "),
        Put(
            "chain/chat/machine.py",
            "from proto.dchat.v1 import tx_pb2\n",
            after="from chain.tx.errors import AmountOverflow, IdentityExists, NameTaken, Unauthorised\n",
        ),
        Put(
            "dchat/cli/chat/identity_commands.py",
            '''@tx.command("set-status", cls=Command)
@click.option("--text", required=True, help="Up to 256 bytes.")
@sending
def set_status(text: str, **options: Any) -> None:
    """Say something of yourself, for everybody to see."""
    send(lambda me: [SetStatus(me, text)], options)


@query.command("status", cls=Command)
@click.argument("who", type=Address())
@proving
def query_status(who: bytes, **how: Any) -> None:
    """What somebody says of themselves."""
    ask_record(STATUSES, who, **how)


LEGS["set-status"] = (frozenset({"text"}), frozenset(), lambda me, leg: SetStatus(me, leg["text"]))
''',
            before="LEGS.update(",
        ),
        Put("dchat/cli/chat/identity_commands.py", IMPORTED, before="from dchat.cli.commands.query_commands"),
        Put(
            "dchat/cli/chat/identity_commands.py",
            "from chain.chat.machine import STATUSES\n",
            before="from chain.tx.messages import BuyAllowance",
        ),
        Put("tests/dchat/cli/test_demo.py", '{"set_status": "an example"}', instead_of="{}"),
        Put("dchat/doors/rest/records.py", '    _row("identities/{address}/status", STATUSES),\n', before=ROW),
        Put(
            "dchat/doors/rest/records.py",
            "from chain.chat.machine import STATUSES\n",
            before="from chain.chat.messages.records import",
        ),
        Put("docs/events.md", "| `set_status` | | `address` |\n", before="| `tip` |"),
        Put(
            "docs/events.md",
            """```console
$ dchat identity verify --file accounts/alice.json
address <alice> ...
$ dchat tx set-status --text awake --from accounts/alice.json
... "code": 0 ...
$ dchat query status accounts/alice.json --prove
... "text": "awake" ...
$ curl -s localhost:7071/v1/identities/<alice>/status
..."text":"awake"...
```

""",
            before="Of one block or transaction: ",
        ),
        Put("tests/support/economy/life.py", IMPORTED, before="from chain.tx.messages.economy import"),
        Put(
            "tests/support/economy/life.py",
            '                SetStatus(who, "busy"),\n',
            after="BuyAllowance(who, rng.randrange(1, DCHAT)),\n",
        ),
    ),
    commands=(PROTO,),
    test='''"""The message in a block, then through a node: handed in, looked up, proved, and its help."""

import asyncio
import json

from click.testing import CliRunner
from structlog.testing import capture_logs

from chain.chat.machine import STATUS
from chain.tx.messages import RegisterIdentity
from chain.tx.messages.chat.identities import SetStatus
from dchat.cli.main import dchat
from dchat.client.wallet import Session
from tests.support.chain.harness import Chain
from tests.support.docs.pages import DOCS
from tests.support.docs.typing import Done, type_page
from tests.support.node.running import running_node


def test_the_machine_executes_it():
    chain = Chain({"ann": 10**9, "bob": 10**9})
    ann = chain.address("ann")
    refused = chain.block(chain.tx("ann", SetStatus(ann, "too early"), lane=3)).tx_results[0]
    assert refused.codespace == "chat"
    chain.block(chain.tx("ann", RegisterIdentity(ann, "ann", "")))
    done = chain.block(chain.tx("ann", SetStatus(ann, "awake"))).tx_results[0]
    assert (done.code, [event.type for event in done.events]) == (0, ["set_status"])
    assert chain.app.base.get(STATUS + ann).text == "awake"
    chain.restart()
    assert tuple(chain.app.base.get(STATUS + ann)) == ("awake", chain.height)
    chain.assert_invariants()


async def test_it_is_sent_looked_up_and_proved(tmp_path):
    with capture_logs():
        async with running_node(tmp_path) as running, running.client() as client:
            alice, accounts = running.account("alice"), running.network.folder / "accounts"
            home = running.network.home_of(running.network.nodes[0])
            await Session(client, alice.wallet).send([RegisterIdentity(alice.address, "alice", "")])

            async def call(*line):
                line = [str(word) for word in (*line, "--home", home)]
                done = await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")
                assert done.exit_code == 0, done.output
                return done.stdout

            sent = json.loads(await call("tx", "set-status", "--text", "awake", "--from", accounts / "alice.json"))
            told = json.loads(await call("query", "status", accounts / "alice.json", "--prove"))
            assert told["value"] == {"text": "awake", "height": sent["height"]}
            assert told["verified"]["what"].startswith("the status exists as told")
            await call("tx", "bundle", "--leg", "set-status text=busy", "--from", accounts / "alice.json")
            assert json.loads(await call("query", "status", accounts / "alice.json"))["value"]["text"] == "busy"
            assert "Say something of yourself" in await call("tx", "set-status", "--help")
            assert "What somebody says" in await call("query", "--help")


async def test_its_example_does_what_it_says(tmp_path):
    done = Done()
    with capture_logs():
        await type_page(DOCS / "events.md", tmp_path / "net", done)
    assert (done.wrong, done.shown & {"set_status", "tx set-status"}) == ([], {"set_status", "tx set-status"})
''',
    shows=(
        "tests/chain/tx/test_tx.py::test_every_kind_of_the_schema_is_known",
        "tests/chain/currency/test_events.py::test_the_page_names_every_event",
        "tests/chain/currency/test_life.py::test_a_seed_says_everything",
    ),
)

QUERY = Example(
    steps=(
        Put(
            "bridge/records.py",
            'CROSSED: Final = RecordKind(TOTALS, pb.BridgeTotals, "what crossed the bridge")\n',
            after='TOTALS: Final = Key.of(b"bt", Totals)\n',
        ),
        Put("bridge/records.py", ", RecordKind", after="from chain.kernel.branch import Key"),
        Put(
            "dchat/cli/commands/query_commands.py",
            '''@query.command("crossed", cls=Command)
@proving
def query_crossed(**how: Any) -> None:
    """What crossed the bridge since genesis."""
    ask_record(CROSSED, b"", **how)


''',
            before='@query.command("params", cls=Command)',
        ),
        Put(
            "dchat/cli/commands/query_commands.py",
            "from bridge.records import CROSSED\n",
            before="from chain.kernel.branch import RecordKind\n",
        ),
        Put("dchat/doors/rest/records.py", '    _row("crossed", CROSSED),\n', before=ROW),
        Put(
            "dchat/doors/rest/records.py",
            "from bridge.records import CROSSED\n",
            before="from chain.chat.channels.keys import",
        ),
        Put(
            "docs/escrows.md",
            """$ dchat query crossed --prove
... "bundles_executed": ...
$ curl -s localhost:7071/v1/crossed
..."bundles_executed":...
""",
            before="$ dchat query receipts --party",
        ),
    ),
    test='''"""The query through a node, proved."""

import asyncio
import json

from click.testing import CliRunner
from structlog.testing import capture_logs

from chain.tx.messages import RegisterIdentity
from dchat.cli.main import dchat
from dchat.client.wallet import Session
from tests.support.docs.pages import DOCS
from tests.support.docs.typing import Done, type_page
from tests.support.node.running import running_node


async def test_its_example_does_what_it_says(tmp_path):
    done = Done()
    with capture_logs():
        await type_page(DOCS / "escrows.md", tmp_path / "net", done)
    assert (done.wrong, "query crossed" in done.shown) == ([], True)


async def test_it_is_answered_and_proved(tmp_path):
    with capture_logs():
        async with running_node(tmp_path) as running, running.client() as client:
            alice, home = running.account("alice"), running.network.home_of(running.network.nodes[0])
            await Session(client, alice.wallet).send([RegisterIdentity(alice.address, "alice", "")])
            line = ["query", "crossed", "--prove", "--home", str(home)]
            done = await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")
            assert done.exit_code == 0, done.output
            told = json.loads(done.stdout)
            assert told["value"]["bundles_executed"] == 1
            assert told["verified"]["what"].startswith("what crossed the bridge exists as told")
''',
)

METRIC = Example(
    steps=(
        Put(
            "dchat/node/node_metrics.py",
            '        yield gauge("dchat_chain_first_height", "Height of the first block kept.", views.answers.base)\n',
            before='        yield counter("dchat_validator_blocks_validated"',
        ),
        Put(
            "docs/operating.md",
            "`dchat_chain_first_height` not rising where pruning is on, ",
            after="Metrics to alert on: ",
        ),
    ),
    test='''"""The metric at the port that is scraped."""

import aiohttp

from tests.support.node.running import running_node


async def test_it_is_scraped(tmp_path):
    async with running_node(tmp_path) as running, aiohttp.ClientSession() as http:
        async with http.get(f"http://127.0.0.1:{running.ports[2]}/metrics") as answer:
            assert "dchat_chain_first_height 1.0" in await answer.text()
''',
    shows=("tests/dchat/doors/test_metrics_page.py",),
    commands=(METRICS_PAGE,),
)

OPTION = Example(
    steps=(
        Put(
            "dchat/config/models.py",
            '    utc: bool = option(True, "Times in UTC. Off: in this machine\'s time zone.")\n',
            after='    json_lines: bool = option(False, "JSON lines instead of key=value.")\n',
        ),
        Put(
            "dchat/home/logs.py",
            ", utc: bool = True",
            after='def configure(*, level: str, json_lines: bool, name: str = ""',
        ),
        Put("dchat/home/logs.py", "utc=utc", instead_of="utc=True"),
        Put(
            "dchat/node/process.py",
            ", utc=wanted.utc",
            after="logs.configure(level=wanted.level, json_lines=wanted.json_lines",
        ),
        Put("dchat/node/process.py", " utc=config.log.utc,", after="level=config.log.level,"),
    ),
    commands=(PAGES,),
    test='''"""The option from a file and from the environment, and what it does."""

import structlog

from dchat.config import load
from dchat.home import logs


def test_it_is_read_and_obeyed(tmp_path, capfd, monkeypatch):
    file = tmp_path / "validator-config.toml"
    file.write_text("[log]\\nutc = false\\n")
    assert load(file, environment={}).config.log.utc is False
    assert load(None, environment={}).config.log.utc is True
    config = load(None, environment={"DCHAT_LOG__UTC": "false"}).config
    monkeypatch.setenv("TZ", "UTC")
    for utc, ends in ((config.log.utc, False), (True, True)):
        logs.configure(level="info", json_lines=False, utc=utc)
        structlog.get_logger().info("said")
        assert ("Z level=info" in capfd.readouterr().err) == ends
''',
    shows=("tests/dchat/config/test_config.py",),
)

UPGRADE = Example(
    steps=(
        Put(
            "dchat/app/build_plan.py",
            """def mark_topics(ctx: MigrationContext) -> Iterator[None]:
    def mark(_: bytes, c: Channel) -> Channel:
        return Channel(c.id, c.name, c.topic + "!", c.owner, c.join_price, c.member_count, c.range, c.created_height)

    yield from ctx.rewrite(CHANNEL, mark)


""",
            before="UPGRADES: Final[tuple[Upgrade, ...]] = (\n",
        ),
        Put(
            "dchat/app/build_plan.py",
            '    Upgrade("summer", (Migration("chat", 4, mark_topics),)),\n',
            after='    Upgrade("key-rotation", (Migration("economy", 2, let_keys_change),)),\n',
        ),
        Put(
            "dchat/app/build_plan.py",
            "from chain.chat.channels.records import CHANNEL, Channel\n",
            before="from chain.chat.channels.members import index_members\n",
        ),
        Put("pyproject.toml", 'version = "0.2.0"', instead_of='version = "0.1.0"'),
        Put("CHANGELOG.md", "## 0.2.0\n\nUpgrade: `summer`. Topics are marked.\n\n", after="## Unreleased\n\n"),
    ),
    test='''"""A chain of the build before, and this build at the height of the plan."""

from chain.chat.channels.records import CHANNEL
from chain.tx.messages import CreateChannel, RegisterIdentity, channel_id
from dchat.app.build_plan import UPGRADES
from tests.support.upgrade.chains import new_chain, ok, plan, to_height


def test_it_is_carried_out():
    chain = new_chain(upgrades=UPGRADES[:-1])
    ann = chain.address("ann")
    ok(chain, chain.tx("ann", RegisterIdentity(ann, "ann", "")), plan(chain, 6, "summer"))
    ok(chain, chain.tx("ann", CreateChannel(ann, "room", 0, "topic")))
    to_height(chain, 5)
    chain.restart(upgrades=UPGRADES)
    ok(chain)
    assert chain.app.base.get(CHANNEL + channel_id("room")).topic == "topic!"
    assert chain.app.module_versions["chat"] == 4
''',
)

EXAMPLES = {
    "A message": MESSAGE,
    "A query": QUERY,
    "A metric": METRIC,
    "An option": OPTION,
    "An upgrade": UPGRADE,
}
