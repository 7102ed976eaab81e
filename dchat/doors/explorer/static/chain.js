// Blocks and transactions, and what happens now.

import { find, part, read, validators } from "./api.js";
import { clean, facts, h, link, section, table } from "./dom.js";
import { account, ago, chips, hash, height, money, mono, number, percent, short, tree, when } from "./text.js";

const TXS_SHOWN = 200;

export const validatorName = (known, address) => {
  const one = known.names.get(address.toLowerCase());
  return link("validator", address.toLowerCase(), one ? clean(one.moniker, 40) : short(address.toLowerCase()));
};

// ----------------------------------------------------------------------------------------------- now

export async function now(page) {
  const parts = { height: h("div", { class: "card" }), vote: h("div", { class: "card" }), roots: h("div"), blocks: h("div") };
  page.show("Now", h("div", { class: "cards" }, parts.height, parts.vote), parts.roots, parts.blocks);
  let seen = 0;
  await page.every(1000, async (signal) => {
    const running = await read("/chain/consensus-status", {}, signal);
    const known = await validators(signal);
    parts.vote.replaceChildren(...voting(running, known));
    if (running.height - 1 <= seen) {
      parts.height.querySelector("[data-ago]")?.replaceChildren(ago(parts.height.dataset.time));
      return;
    }
    const [blocks, bridge] = await Promise.all([read("/chain/blocks", { limit: 12 }, signal), read("/v1/bridge", {}, signal)]);
    const latest = blocks.blocks[0];
    if (!latest) return;
    parts.height.dataset.time = latest.time;
    parts.height.replaceChildren(...standing(latest, bridge, blocks.blocks));
    parts.roots.replaceChildren(roots(bridge));
    parts.blocks.replaceChildren(section("Latest blocks", blockTable(blocks.blocks, known, seen)));
    seen = latest.height;
  });
}

function standing(latest, bridge, blocks) {
  const gaps = blocks.slice(1).map((block, at) => new Date(blocks[at].time) - new Date(block.time));
  const mean = gaps.length ? gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length / 1000 : 0;
  return [
    h("h2", {}, "Height"),
    h("p", { class: "big", id: "height" }, height(latest.height)),
    facts(
      ["Block", h("span", { "data-ago": true }, ago(latest.time)), mean ? `, ${mean.toFixed(1)} s apart` : ""],
      ["Supply", money(bridge.udchat_supply)],
      ["Bundles", `${number(bridge.bundles_executed)} executed, ${number(bridge.bundles_failed)} failed`],
    ),
  ];
}

function voting(running, known) {
  const said = (vote) => (vote === null ? h("span", { class: "hint" }, "not yet") : vote === "nil" ? h("span", { class: "wait" }, "nil") : h("span", { class: "good" }, "for the block"));
  const why = Object.entries(running.nil_votes ?? {}).filter(([, count]) => count).map(([reason, count]) => `${reason.replaceAll("_", " ")} ${count}`);
  return [
    h("h2", {}, `Votes at ${number(running.height)}, round ${running.round}`),
    table("Votes of the running round", [["Validator"], ["Prevote"], ["Precommit"]],
      running.votes.slice(0, 50).map((one) => [
        [validatorName(known, one.validator_address), one.validator_address === running.proposer ? h("span", { class: "chip" }, "proposes") : ""],
        said(one.prevote), said(one.precommit)]), "No validators."),
    h("p", { class: "hint" }, running.all_agree ? "All agreed on the last block." : `${running.last_commit_votes} of ${running.validators} agreed on the last block.`,
      why.length ? ` This node's own votes for nil since its start: ${why.join(", ")}.` : ""),
  ];
}

function roots(bridge) {
  const rows = bridge.stores.map((store) => [
    { chat: "Chat chain", currency: "Currency chain", bridge: "Bridge" }[store.name] ?? store.name, mono(store.root),
    [store.root === store.recorded_root ? "" : h("span", { class: "bad" }, "differs from its record "), number(store.changed_height)]]);
  return section(`Roots after block ${number(bridge.height)}`,
    table("Roots of the machines", [["Machine"], ["Root"], ["Changed at", "number wide"]], rows, "No roots."),
    h("p", {}, "App hash ", mono(bridge.app_hash), ". ",
      bridge.in_step ? h("span", { class: "good" }, "Both machines are in step") : h("span", { class: "bad" }, "The machines are not in step"), ", ",
      bridge.books_agree ? h("span", { class: "good" }, "and the books between them agree.") : h("span", { class: "bad" }, "the books between them do not agree.")));
}

// -------------------------------------------------------------------------------------------- blocks

function blockTable(blocks, known, seen) {
  return table("Blocks, newest first", [["Height"], ["Time"], ["Transactions"], ["Proposer"], ["Round", "number wide"], ["Hash", "wide"]],
    blocks.map((block) => ({
      fresh: seen > 0 && block.height > seen,
      cells: [height(block.height), when(block.time), block.num_txs ? chips(block.txs_by_chain) : h("span", { class: "hint" }, "none"),
        validatorName(known, block.proposer_address), block.round, hash("block", block.hash)],
    })), "There is no block yet.");
}

export async function blocks(page, from) {
  const known = await validators(page.signal);
  const told = await read("/v1/blocks", { limit: 50, max_height: from ?? "" }, page.signal);
  const rows = told.blocks.map(({ header, block_id: id, num_txs: txs }) => [
    height(header.height), when(header.time), Number(txs) ? number(txs) : h("span", { class: "hint" }, "none"),
    validatorName(known, header.proposer_address), hash("block", id.hash)]);
  const last = told.blocks.at(-1)?.header.height;
  page.show("Blocks",
    section("", table("Blocks, newest first", [["Height"], ["Time"], ["Transactions", "number"], ["Proposer"], ["Hash", "wide"]], rows, "There is no block here."),
      h("p", {}, from ? link("blocks", "", "Latest ") : "", Number(last) > 1 ? link("blocks", String(Number(last) - 1), "Older") : "")));
}

export async function block(page, id) {
  const path = /^\d+$/.test(id) ? `/v1/blocks/${part(id)}` : `/v1/blocks/by-hash/${part(id)}`;
  const told = await find(path, { decoded: "true" }, page.signal);
  if (!told?.block) return page.absent(`There is no block ${clean(id, 80)} on this node.`);
  const { header, data, evidence, last_commit: last } = told.block;
  const [known, results, found] = await Promise.all([
    validators(page.signal), find(`/v1/blocks/${header.height}/results`, {}, page.signal),
    find("/v1/search/txs", { query: `tx.height=${header.height}`, limit: 100, oldest_first: "true" }, page.signal)]);
  const signed = last.signatures.filter((one) => one.block_id_flag === "BLOCK_ID_FLAG_COMMIT").length;
  page.show(`Block ${number(header.height)}`,
    section("Header", facts(
      ["Time", when(header.time)], ["Hash", mono(told.block_id.hash)], ["Proposer", validatorName(known, header.proposer_address)],
      ["App hash", mono(header.app_hash), h("span", { class: "hint" }, " after the block before")],
      ["Validators", mono(header.validators_hash)], ["Transactions", `${data.txs.length}`],
      ["Block before", hash("block", header.last_block_id.hash), Number(header.height) > 1 ? ` signed by ${signed} of ${last.signatures.length}` : ""],
      evidence.evidence.length ? ["Evidence", `${evidence.evidence.length} of misbehaviour`] : null)),
    section("Transactions", txTable(found?.txs ?? [], "None."),
      data.txs.length > 100 ? h("p", { class: "hint" }, `The first 100 of ${data.txs.length}.`) : ""),
    section("What the block did by itself", events(results?.events ?? [])),
    h("p", {}, Number(header.height) > 1 ? link("block", String(Number(header.height) - 1), "Block before ") : "", link("block", String(Number(header.height) + 1), "Block after")));
}

export function events(list) {
  if (!list.length) return h("p", { class: "hint" }, "Nothing.");
  return [h("ul", {}, list.slice(0, TXS_SHOWN).map((one) =>
    h("li", {}, h("b", {}, clean(one.type, 60)), " ", one.attributes.slice(0, 12).map((said) => [`${clean(said.key, 40)} `, tree(clean(said.value, 300), said.key), " "])))),
  list.length > TXS_SHOWN ? h("p", { class: "hint" }, `and ${list.length - TXS_SHOWN} more`) : null];
}

// -------------------------------------------------------------------------------------- transactions

const kinds = (tx) => (tx?.body?.messages ?? []).map((one) => Object.keys(one)[0] ?? "message");

export function txTable(list, empty) {
  return table("Transactions", [["Hash"], ["What it does"], ["Outcome"], ["Height", "number"]],
    list.map((one) => [
      hash("tx", one.hash), h("span", {}, [...new Set(one.events.map((event) => event.type))].slice(0, 6).map((kind) => h("span", { class: "chip" }, clean(kind, 40)))),
      outcome(one), height(one.height)]), empty);
}

const outcome = (one) => (one.code ? h("span", { class: "bad" }, `failed: ${clean(one.codespace, 30)} ${one.code}`) : h("span", { class: "good" }, "done"));

export async function txs(page, after) {
  const told = await read("/v1/search/txs", { query: "tx.height>0", limit: 50, after: after ?? "" }, page.signal);
  page.show("Transactions", section("", txTable(told.txs, "There is no transaction here."),
    h("p", {}, after ? link("txs", "", "Latest ") : "", told.cursor ? link("txs", told.cursor, "Older") : "")));
}

export async function tx(page, id) {
  const told = await find(`/v1/txs/${part(id.toLowerCase())}`, { decoded: "true" }, page.signal);
  if (!told?.tx) return page.absent(`There is no transaction ${clean(id, 80)} on this node.`);
  const body = told.tx.body ?? {};
  page.show("Transaction",
    section("Outcome", facts(
      ["Hash", mono(told.hash)], ["Height", height(told.height)], ["Outcome", outcome(told), told.log ? ` ${clean(told.log, 300)}` : ""],
      ["Lane", clean(String(body.lane ?? "").replace("LANE_", "").toLowerCase(), 20)],
      ["Signed by", (body.signers ?? []).slice(0, 20).map((one) => [account(one.address), " "])],
      ["Fee", money(told.data?.fee_paid ?? body.fee ?? "0")], ["Gas", `${number(told.gas_used)} of ${number(told.gas_wanted)} (${percent(told.gas_used, told.gas_wanted)})`],
      told.data?.replay_id && body.lane === "LANE_BRIDGE" ? ["Bundle", hash("bundle", told.data.replay_id)] : null,
      body.memo ? ["Memo", h("span", { class: "said" }, body.memo)] : null)),
    section(`Messages: ${kinds(told.tx).join(", ")}`, (body.messages ?? []).slice(0, 50).map((one) => tree(one))),
    section("What it did", events(told.events ?? [])));
}
