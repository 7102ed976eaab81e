// Which page is shown: #/kind/id. One page at a time; leaving it ends what it asked for.

import { find, part, read, validators } from "./api.js";
import * as chain from "./chain.js";
import { clean, h, link, section } from "./dom.js";
import * as people from "./people.js";
import * as power from "./power.js";
import { hexOf } from "./text.js";

const PAGES = {
  "": chain.now, blocks: chain.blocks, block: chain.block, txs: chain.txs, tx: chain.tx,
  account: people.account, identity: people.identity, channels: people.channels, channel: people.channel,
  validators: power.all, validator: power.validator, proposals: power.proposals, proposal: power.proposal, bundles: power.bundles, bundle: power.bundle,
  search: results,
};
const PART_OF = { block: "blocks", tx: "txs", channel: "channels", validator: "validators", proposal: "proposals", bundle: "bundles" };
const ID_MAX = 120;

const main = document.getElementById("main");
const stateLine = document.getElementById("state");
let leaving = new AbortController();

class Page {
  constructor(signal) {
    this.signal = signal;
  }

  show(title, ...children) {
    if (this.signal.aborted) return;
    main.setAttribute("aria-busy", "false");
    document.title = `${clean(title, 60)} - dchat explorer`;
    main.replaceChildren(h("h1", {}, clean(title, 160)), ...children.filter((one) => one instanceof Node));
  }

  absent(sentence) {
    this.show("Not here", h("p", {}, sentence), h("p", {}, h("a", { href: "#/" }, "To what happens now")));
  }

  // Again and again as long as the page is shown and looked at. A failure is said, and tried again.
  async every(pauseMs, work) {
    while (!this.signal.aborted) {
      if (!document.hidden) {
        try {
          await work(this.signal);
          say("Live", "good");
        } catch (error) {
          if (this.signal.aborted) return;
          say(clean(error.message, 200), "bad");
        }
      }
      await new Promise((done) => setTimeout(done, pauseMs));
    }
  }
}

function say(text, kind) {
  if (stateLine.textContent === text) return;
  stateLine.replaceChildren(h("span", { class: kind }, text));
}

async function go() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const page = new Page(signal);
  let [kind, ...ids] = [""];
  try {
    [kind, ...ids] = location.hash.replace(/^#\/?/, "").split("/").map((text) => decodeURIComponent(text).slice(0, ID_MAX));
  } catch {
    kind = "?";
  }
  ids = ids.map((id) => id || undefined);
  for (const one of document.querySelectorAll("nav a")) {
    const of = one.getAttribute("href").slice(2);
    if (of === (PART_OF[kind] ?? kind)) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  const show = Object.hasOwn(PAGES, kind) ? PAGES[kind] : null;
  main.setAttribute("aria-busy", "true");
  try {
    if (!show || (PART_OF[kind] && !ids[0])) page.absent("There is no such page.");
    else {
      if (kind) say("", "");
      await show(page, ...ids);
    }
  } catch (error) {
    if (!signal.aborted) page.show("No answer", h("p", { class: "bad" }, clean(error.message, 300)), h("p", {}, h("button", { type: "button", click: go }, "Try again")));
  }
}

// --------------------------------------------------------------------------------------------- search

// What a text may be, asked of the node all at once: [what is shown, kind, id].
async function candidates(text, signal) {
  const asked = [];
  const when = (holds, path, there, ...found) => {
    if (holds) asked.push(find(path, {}, signal).then((told) => (told && there(told) ? found : null)));
  };
  const hex = text.toLowerCase();
  const whole = /^\d{1,15}$/.test(text);
  const at = hexOf(text) ?? (/^[0-9a-f]{40}$/.test(hex) ? hex : null);
  when(whole, `/v1/blocks/${text}`, (told) => told.block, `Block ${text}`, "block", text);
  when(whole, `/v1/proposals/${text}`, (told) => told.proposal, `Proposal ${text}`, "proposal", text);
  if (/^[0-9a-f]{64}$/.test(hex)) {
    when(true, `/v1/txs/${hex}`, (told) => told.tx, "Transaction", "tx", hex);
    when(true, `/v1/blocks/by-hash/${hex}`, (told) => told.block, "Block", "block", hex);
    when(true, `/v1/bundles/${hex}`, (told) => told.receipt, "Bundle", "bundle", hex);
  }
  if (at) {
    when(true, `/v1/accounts/${at}`, (told) => told.account, "Account", "account", at);
    when(true, `/v1/identities/${at}`, (told) => told.identity, "Identity", "identity", at);
    when(true, `/v1/channels/${at}`, (told) => told.channel, "Channel", "channel", at);
    when(true, `/v1/validators/by-consensus-address/${at}`, (told) => told.validator, "Validator", "validator", at);
    when(true, `/v1/validators/${at}`, (told) => told.validator, "Validator (operator)", "validator", at);
  } else {
    when(true, `/v1/identities/by-name/${part(hex)}`, (told) => told.identity, `Identity ${hex}`, "identity", hex);
    when(true, `/v1/channels/by-name/${part(text)}`, (told) => told.channel, `Channel ${text}`, "channel", text);
  }
  const known = validators(signal).then(({ list }) => list.filter((one) => one.moniker.toLowerCase().includes(hex)).slice(0, 20)
    .map((one) => [`Validator ${one.moniker}`, "validator", one.consensus_address]), () => []);
  return [...(await Promise.all(asked)).filter(Boolean), ...(await known)];
}

async function results(page, text) {
  const asked = (text ?? "").trim();
  if (!asked) return page.absent("Ask for a height, a hash, an address, a name, a channel or a validator.");
  const found = await candidates(asked, page.signal);
  if (found.length === 1 && !page.signal.aborted) {
    location.replace(`#/${found[0][1]}/${encodeURIComponent(found[0][2])}`);
    return undefined;
  }
  if (!found.length) return page.absent(`Nothing here is called ${clean(asked, 100)}. Allowed: a height, a hash of 64 hex characters, an address (dchat1…), the name of an identity, a channel or a validator.`);
  return page.show(`${found.length} things are called ${clean(asked, 100)}`, section("", h("ul", {}, found.map(([shown, kind, id]) => h("li", {}, link(kind, id, clean(shown, 100)))))));
}

const form = document.getElementById("search");
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = form.elements.asked.value.trim();
  if (text) location.hash = `#/search/${encodeURIComponent(text.slice(0, 100))}`;
});
window.addEventListener("hashchange", () => {
  go();
  main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
});

read("/v1/status").then((told) => document.getElementById("chain").replaceChildren(clean(told.chain_id, 50)), () => {});
go();
