// Accounts, identities, channels and what was said in them.

import { find, part, read } from "./api.js";
import { txTable } from "./chain.js";
import { clean, facts, h, link, section, table } from "./dom.js";
import { prover } from "./proof.js";
import { account as accountLink, address, height, hexOf, money, mono, number, ofNs, tree, when, words } from "./text.js";

const asHex = (id) => hexOf(id) ?? (/^[0-9a-f]{40}$/i.test(id) ? id.toLowerCase() : null);

async function latestOf(who, signal) {
  const asked = ["transfer.sender", "transfer.recipient", "post_message.author"].map((tag) =>
    find("/v1/search/txs", { query: `${tag}='${who}'`, limit: 10 }, signal));
  const found = new Map();
  for (const told of await Promise.all(asked)) for (const one of told?.txs ?? []) found.set(one.hash, one);
  return [...found.values()].sort((one, other) => Number(other.height) - Number(one.height)).slice(0, 15);
}

export async function account(page, id) {
  const hex = asHex(id);
  if (!hex) return page.absent(`${clean(id, 80)} is no address: one has dchat1 and 38 characters.`);
  const path = `/v1/accounts/${hex}`;
  const [told, identity, holdings, latest] = await Promise.all([
    read(path, {}, page.signal), find(`/v1/identities/${hex}`, {}, page.signal), find(`${path}/holdings`, { limit: 20 }, page.signal),
    latestOf(address(hex), page.signal)]);
  page.show("Account",
    section("", facts(
      ["Address", mono(address(hex))], ["Balance", told.account ? money(told.account.balance) : "no account on the currency chain"],
      ["Identity", identity?.identity ? link("identity", address(hex), clean(identity.identity.name, 64) || "without a name") : "none"],
      told.account?.policy ? ["May be signed for by", tree(told.account.policy)] : null)),
    holdings?.holdings?.length ? section("Other denominations", tree(holdings.holdings)) : "",
    section("Latest payments and messages", txTable(latest, "None that this node remembers.")),
    prover("this account", path, { kind: "account", name: hex }, (answer) => answer.account));
}

export async function identity(page, id) {
  const hex = asHex(id);
  const named = hex ? `/v1/identities/${hex}` : `/v1/identities/by-name/${part(id)}`;
  const told = await find(named, {}, page.signal);
  if (!told?.identity) return page.absent(`There is no identity ${clean(id, 80)}.`);
  const one = told.identity;
  const path = `/v1/identities/${one.address}`;
  const [profile, rooms, score] = await Promise.all([
    find(`${path}/profile`, {}, page.signal), find(`${path}/memberships`, { limit: 50 }, page.signal), find(`${path}/score`, {}, page.signal)]);
  page.show(one.name || "An identity without a name",
    section("Identity", facts(
      ["Account", accountLink(one.address)], one.display ? ["Shown as", one.display] : null, ["Since block", height(one.created_height)],
      ["Allowance", `${number(one.allowance?.messages ?? 0)} messages, ${number(one.allowance?.bytes ?? 0)} bytes`],
      score ? ["Reputation", number(score.score)] : null,
      ["May be signed for by", tree(one.policy)])),
    profile?.value ? section("Profile", tree(profile.value)) : "",
    section("Channels", table("Channels", [["Channel"], ["Messages", "number"], ["Since block", "number"]],
      (rooms?.memberships ?? []).map((room) => [link("channel", room.channel_id, room.name ? clean(room.name, 64) : "direct"), number(room.message_count), height(room.membership.joined_height)]),
      "In none.")),
    prover("this identity", path, { kind: "identity", name: one.address }, (answer) => answer.identity));
}

export async function channels(page, after) {
  const told = await read("/v1/channels", { limit: 50, after: after ?? "" }, page.signal);
  const last = told.channels.length === 50 ? told.channels.at(-1).id : "";
  page.show("Channels", section("", table("Channels", [["Name"], ["Topic", "wide"], ["Members", "number"], ["Messages", "number"], ["To join", "number"]],
    told.channels.map((one) => [link("channel", one.id, one.name ? clean(one.name, 64) : "direct"), clean(one.topic ?? "", 120), number(one.member_count), number(one.message_count),
      Number(one.join_price) ? money(one.join_price) : "free"]), "There is no channel here."),
  h("p", {}, after ? link("channels", "", "First ") : "", last ? link("channels", last, "More") : "")));
}

export async function channel(page, id, from) {
  const isId = /^[0-9a-f]{40}$/i.test(id);
  const told = await find(isId ? `/v1/channels/${id.toLowerCase()}` : `/v1/channels/by-name/${part(id)}`, {}, page.signal);
  if (!told?.channel) return page.absent(`There is no channel ${clean(id, 80)}.`);
  const one = told.channel;
  const count = Number(one.message_count);
  const start = /^\d{1,15}$/.test(from ?? "") ? Math.min(Number(from), Math.max(0, count - 1)) : Math.max(0, count - 25);
  const [said, members] = await Promise.all([
    count ? read(`/v1/channels/${one.id}/messages`, { from_index: start, limit: 25 }, page.signal) : { messages: [] },
    find(`/v1/channels/${one.id}/members`, { limit: 50 }, page.signal)]);
  page.show(one.name || "Direct channel",
    section("Channel", facts(
      one.topic ? ["Topic", one.topic] : null, ["Id", mono(one.id)], one.owner ? ["Owner", accountLink(one.owner)] : null,
      ["Members", number(one.member_count)], ["Messages", number(one.message_count)], ["To join", Number(one.join_price) ? money(one.join_price) : "free"],
      ["Since block", height(one.created_height)])),
    section("Messages", said.messages.length ? h("ol", { start: start + 1 }, said.messages.map(line)) : h("p", { class: "hint" }, "None yet."),
      h("p", {}, start > 0 ? h("a", { href: `#/channel/${one.id}/${Math.max(0, start - 25)}` }, "Older ") : "",
        start + 25 < count ? h("a", { href: `#/channel/${one.id}/${start + 25}` }, "Newer") : "")),
    section("Members", h("ul", {}, (members?.members ?? []).map((who) => h("li", {}, accountLink(who.address), who.is_owner ? " (owner)" : "")))),
    prover("this channel", `/v1/channels/${one.id}`, { kind: "channel", name: one.id }, (answer) => answer.channel));
}

function line(message) {
  const text = message.content ? words(message.content) : null;
  const gone = message.forgotten ? "This node no longer has the text." : message.content ? "Bytes that are no text (sealed, perhaps)." : "No text.";
  return h("li", {}, accountLink(message.author), " ", h("span", { class: "hint" }, when(ofNs(message.time_ns) ?? "")), " at ", height(message.height), ": ",
    text === null ? h("span", { class: "hint" }, gone) : h("span", { class: "said" }, clean(text)));
}

