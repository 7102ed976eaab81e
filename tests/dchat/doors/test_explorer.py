"""The explorer: files that carry nothing foreign, and pages that a real browser shows, searches and proves."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from chain.tx.messages import CreateChannel, Payment, PostMessage, RegisterIdentity, channel_id
from crypto.bech32 import encode_address
from dchat.client.wallet import Session
from dchat.doors.explorer import pages
from tests.support.browser.chromium import ENTER, PHONE, TAB, Tab, browsing, chromium
from tests.support.node.running import Running, running_node

STATIC = Path(pages.__file__).parent / "static"
browser_needed = pytest.mark.skipif(
    chromium() is None,
    reason="no Chromium here (apt install chromium, or CHROMIUM=/path/to/it): THE EXPLORER'S PAGES ARE NOT TESTED",
)
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>\u202egnp.exe\u0000 &amp; <b>bold</b>'

ROOM = "tea house"


def url_of(running: Running) -> str:
    return f"http://127.0.0.1:{running.ports[1]}/explorer/"


# ---------------------------------------------------------------------------------------------- the files


def test_the_pages_make_text_of_what_they_read_and_know_no_other_origin() -> None:
    for file in STATIC.iterdir():
        text = file.read_text()
        said = re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setHTML", text)
        assert not said, (file.name, said)
        foreign = [url for url in re.findall(r"https?://[^\s\"'`]+", text) if url != "http://www.w3.org/2000/svg"]
        assert not foreign, (file.name, foreign)
    index = (STATIC / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*src=)", index) == re.findall(r"\son\w+=|\sstyle=|<style", index) == []


async def test_files_are_kept_packed_and_under_a_strict_policy(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, aiohttp.ClientSession(auto_decompress=False) as http:
        async with http.get(url_of(running) + "app.js", headers={"Accept-Encoding": "gzip"}) as answer:
            tag, policy = answer.headers["ETag"], answer.headers["Content-Security-Policy"]
            assert answer.headers["Content-Encoding"] == "gzip"
            assert len(await answer.read()) < len((STATIC / "app.js").read_bytes()) / 2
        assert policy.startswith("default-src 'none'")
        assert not re.search("unsafe|http|data:", policy)
        async with http.get(url_of(running) + "app.js", headers={"If-None-Match": tag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
        async with http.get(url_of(running) + "app.js", headers={"Accept-Encoding": "identity"}) as answer:
            assert await answer.read() == (STATIC / "app.js").read_bytes()
        async with http.get(url_of(running).removesuffix("/"), allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (308, "explorer/")
        async with http.get(url_of(running) + "../../etc/passwd") as answer:
            assert answer.status == 404


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async with running_node(tmp_path, http="explorer = false\n") as running, aiohttp.ClientSession() as http:
        async with http.get(url_of(running)) as answer:
            assert answer.status == 404
        async with http.get(url_of(running).removesuffix("explorer/")) as answer:
            assert "/explorer" not in (await answer.json())["paths"]


def test_the_schemas_name_every_field_of_what_is_proved() -> None:
    told = pages.schemas()
    for record in told["records"].values():
        kind = next(kind for _, kind in pages.RECORDS.values() if kind.DESCRIPTOR.full_name == record["message"])
        assert [row["name"] for row in told["messages"][record["message"]]] == list(kind.DESCRIPTOR.fields_by_name)
    assert told["lanes"]["pay_to_join"] == ["bridge"]


# ---------------------------------------------------------------------------------------------- a browser


class World(NamedTuple):
    """A node with a little history, and a page before it. where: addresses, ids and hashes as pages name them."""

    running: Running
    tab: Tab
    where: dict[str, str]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Alice's channel has what a hostile member would write."""
    async with running_node(tmp_path) as running, running.client() as client, browsing() as browser:
        alice, bob = running.account("alice"), running.account("bob")
        hers = Session(client, alice.wallet)
        registered = await hers.send([RegisterIdentity(alice.address, "alice", HOSTILE[:20])])
        await hers.send([CreateChannel(alice.address, ROOM, 0, "tea <i>and</i> more")])
        posted = await hers.send([PostMessage(alice.address, channel_id(ROOM), HOSTILE.encode(), 0)])
        await hers.send([Payment(alice.address, bob.address, 5_000_000)])
        where = {
            "address": encode_address(alice.address), "account": alice.address.hex(), "channel": channel_id(ROOM).hex(),
            "tx": posted.hash.hex(), "bundle": registered.replay_id.hex(),
        }  # fmt: skip
        tab = await browser.tab()
        await tab.open(url_of(running))
        await tab.until("document.querySelector('#height')")
        yield World(running, tab, where)


@browser_needed
async def test_every_kind_of_thing_has_a_page_without_a_complaint(world: World) -> None:
    tab, where = world.tab, world.where
    first = await tab.ask("document.querySelector('#height').innerText")
    await tab.until(f"document.querySelector('#height').innerText !== {json.dumps(first)}")  # it is live
    await tab.until_shown("Both machines are in step, and the books between them agree.")
    for path, text in (
        ("blocks", "Proposer"), ("block/2", "App hash"), ("txs", "post_message"), ("validators", "Uptime"),
        (f"tx/{where['tx']}", "Messages: post_message"), (f"account/{where['address']}", "Balance"),
        ("identity/alice", "Reputation"), ("channels", ROOM), (f"channel/{where['channel']}", "tea <i>and</i> more"),
        ("bundles", "register_identity"), (f"bundle/{where['bundle']}", "What it did on both chains"),
        ("proposals", "There is no proposal here."),
    ):  # fmt: skip
        await tab.go(f"#/{path}")
        await tab.until_shown(text)
    await tab.go("#/validators")
    await tab.ask("document.querySelector('main table a').click()")
    await tab.until_shown("Consensus address")
    assert tab.complaints == []
    await tab.go("#/proposal/7")
    await tab.until_shown("There is no proposal 7")
    await tab.go("#/nothing/at/all")
    await tab.until_shown("There is no such page.")


@browser_needed
async def test_what_a_hostile_member_wrote_is_text(world: World) -> None:
    tab, where = world.tab, world.where
    for path in (f"channel/{where['channel']}", f"tx/{where['tx']}", "identity/alice"):
        await tab.go(f"#/{path}")
        await tab.until_shown("<img src=x")
        assert await tab.ask("document.querySelectorAll('main img, main script, main b b, main i').length") == 0
        assert "\u202e" not in await tab.ask("document.body.innerText")
        assert await tab.ask("document.title.length > 2")
    assert await tab.ask("import('./dom.js').then(({ clean }) => clean('x'.repeat(1e6)).length)") < 2_100
    script = "import('./dom.js').then(({ link }) => link('block', 'javascript:alert(1)//', 'x').getAttribute('href'))"
    assert await tab.ask(script) == "#/block/javascript%3Aalert(1)%2F%2F"
    assert tab.complaints == []


@browser_needed
async def test_search_by_keyboard_finds_each_kind_of_thing(world: World) -> None:
    tab, where = world.tab, world.where
    await tab.press(TAB)
    assert await tab.ask("document.activeElement.innerText") == "To the content"
    for _ in range(2):
        await tab.press(TAB)
    assert await tab.ask("document.activeElement.id") == "asked"
    for text, heading in (
        ("2", "Block 2"), (where["address"], "2 things"), (where["tx"], "Transaction"), (where["bundle"], "Bundle"),
        ("alice", "alice"), (ROOM, ROOM), ("validator1", "validator1"), (where["channel"], ROOM),
        ("nobody-at-all", "Not here"),
    ):  # fmt: skip
        await tab.ask("document.getElementById('asked').value = ''; document.getElementById('asked').focus()")
        await tab.write(text)
        await tab.press(ENTER)
        await tab.until(f"document.querySelector('h1').innerText.startsWith({json.dumps(heading)})")


POOR = """(() => {
  const of = (text) => {
    const [r, g, b, a] = text.match(/[\\d.]+/g).map(Number);
    return { rgb: [r, g, b], a: a ?? 1 };
  };
  const part = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = ({ rgb }) => rgb.reduce((sum, c, at) => sum + part(c / 255) * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const c = of(getComputedStyle(one).backgroundColor);
      if (c.a > 0) return c;
    }
    return of('rgb(255, 255, 255)');
  };
  const poor = [];
  for (const one of document.querySelectorAll('body *')) {
    if (![...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !one.offsetParent) continue;
    const [a, b] = [light(of(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(one.outerHTML.slice(0, 80));
  }
  return poor;
})()"""
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
UNNAMED = (
    "[...document.querySelectorAll('a, button, input')].filter((one) => !(one.innerText || one.labels?.length)).length"
)


@browser_needed
async def test_it_can_be_read_on_a_phone_and_in_the_dark(world: World) -> None:
    """Nothing is wider than the screen, every text has the contrast of WCAG AA, every control a name."""
    tab = world.tab
    for dark in (False, True):
        await tab.look(size=PHONE, dark=dark)
        for path in ("validators", f"channel/{world.where['channel']}", f"tx/{world.where['tx']}", "block/2", ""):
            await tab.go(f"#/{path}")
            await tab.until("document.querySelector('main section')")
            assert await tab.ask(TOO_WIDE) <= 0, path
            assert await tab.ask(POOR) == []
            assert await tab.ask(UNNAMED) == 0


@browser_needed
async def test_addresses_are_written_and_read_as_everywhere_else(world: World) -> None:
    for number in (0, 1, 0xFF << 152, (1 << 160) - 1, 0x3CED8A3AE1D67E1A3954C58EB4523C5B0E9960B1):
        address = number.to_bytes(20, "big")
        text = encode_address(address)
        asked = f"address('{address.hex()}'), hexOf('{text}'), hexOf('{text[:-1]}q'), hexOf('{text[:-1]}p')"
        told = await world.tab.ask(f"import('./text.js').then(({{ address, hexOf }}) => [{asked}])")
        assert told[:2] == [text, address.hex()]
        assert None in told[2:]


# ------------------------------------------------------------------------------------------------- proofs

CHECK = """(async () => {{
  const [{{ check }}, {{ read, schema }}] = await Promise.all([import('./proof.js'), import('./api.js')]);
  const answer = await read({path}, {{ prove: 'true' }});
  const asked = {{ kind: {kind}, name: {name} }};
  ({spoil})(answer, asked);
  const told = await check(answer.proof, asked, await schema(), answer[{kind}] ?? answer.receipt);
  const last = told.done.at(-1).what.join('');
  return {{ holds: told.holds, isSigned: told.isSigned ?? false, none: told.found === null, last }};
}})()"""

SPOILED = {
    "the record shown": "(a) => { a.identity.name = 'mallory'; }",
    "the key": "(a, q) => { q.name = '00'.repeat(20); }",
    "a byte of the record": "(a) => { ops(a)[0].data = ops(a)[0].data.replace('616c696365', '616c696366'); }",
    "a hash on the way": "(a) => { const [, op] = ops(a); op.data = op.data.slice(0, -2) + 'ab'; }",
    "the app hash": "(a) => { signed(a).header.app_hash = '11'.repeat(32); }",
    "the header's time": "(a) => { signed(a).header.time = '2026-01-01T00:00:00Z'; }",
    "a validator's power": "(a) => { a.proof.light_block.validator_set.validators[0].voting_power = '1'; }",
    "a signature": "(a) => { const [s] = signed(a).commit.signatures; s.signature = '00' + s.signature.slice(2); }",
    "who signed": "(a) => { signed(a).commit.signatures[0].block_id_flag = 'BLOCK_ID_FLAG_NIL'; }",
    "no proof at all": "(a) => { a.proof.ops.ops = []; }",
    "no hex": "(a) => { ops(a)[0].data = 'zz'; }",
    "cut off": "(a) => { ops(a)[0].data = ops(a)[0].data.slice(0, 40); }",
}
SHORT = "globalThis.ops = (a) => a.proof.ops.ops; globalThis.signed = (a) => a.proof.light_block.signed_header; 1"


async def checked(tab: Tab, path: str, kind: str, name: str, spoil: str = "() => {}") -> Any:
    said = {"path": json.dumps(path), "kind": json.dumps(kind), "name": json.dumps(name)}
    return await tab.ask(CHECK.format(spoil=spoil, **said))


@browser_needed
async def test_a_proof_is_checked_in_the_browser(world: World) -> None:
    tab, where = world.tab, world.where
    await tab.go("#/identity/alice")
    await tab.until("document.querySelector('main button')?.innerText === 'Prove this identity here'")
    await tab.ask("document.querySelector('main button').click()")
    await tab.until_shown("It holds. State after block")
    for text in (
        "1 of 1 of them signed this block: 1,000 of 1,000 of the power, all Ed25519 signatures hold.",
        "Not checked: that these validators are the chain's own.",
    ):
        await tab.until_shown(text)
    for plural, kind, name in (
        ("accounts", "account", where["account"]), ("identities", "identity", where["account"]),
        ("channels", "channel", where["channel"]), ("bundles", "bundle", where["bundle"]),
    ):  # fmt: skip
        told = await checked(tab, f"/v1/{plural}/{name}", kind, name)
        assert (told["holds"], told["isSigned"], told["none"]) == (True, True, False), (kind, told)
    nobody = "ab" * 20
    told = await checked(tab, f"/v1/accounts/{nobody}", "account", nobody)
    assert (told["holds"], told["none"]) == (True, True), told
    assert tab.complaints == []


@browser_needed
async def test_a_spoiled_proof_is_refused(world: World) -> None:
    await world.tab.ask(SHORT)
    name = world.where["account"]
    for what, spoil in SPOILED.items():
        told = await checked(world.tab, f"/v1/identities/{name}", "identity", name, spoil)
        assert (told["holds"], told["last"].startswith("The proof")) == (False, True), (what, told)
